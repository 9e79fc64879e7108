/**
 * What the entries of the log say: each is one command, decided alike by every member from what was committed before it.
 *
 *     kind 1   request: session, guards (count u16: key, 0 or 1, value), batches (count u16: changes (count u16: kind u8,
 *              key, and for puts value))
 *     kind 2   open a session: its id, the node's id
 *     kind 3   end a session: its id
 *
 * Keys and ids stand behind their length u16, values behind their length u32, big-endian.
 */
import type { StoreChange, StoreRequest } from "@tidemark/consensus";
import { type ByteWriter, createByteReader, createByteWriter, MalformedBytesError } from "@tidemark/consensus/store";
import { directoryId } from "@tidemark/ids";
import type { NodeId } from "@tidemark/raft";

export type Command =
  | { readonly kind: "request"; readonly session: string; readonly request: StoreRequest }
  /** Ends the earlier sessions of the node. */
  | { readonly kind: "openSession"; readonly session: string; readonly node: NodeId }
  | { readonly kind: "endSession"; readonly session: string };

/**
 * More bytes are not taken from another node. A candidate's request stays below it, and an entry of so many fits into one
 * message between members and into one frame of the log.
 */
const commandBytesMax = 2 * 1024 * 1024;

const commandKinds = { request: 1, openSession: 2, endSession: 3 } as const;
const changeKinds = { put: 1, delete: 2, ephemeralPut: 3 } as const;

export function encodeCommand(command: Command): Uint8Array {
  const writer = createByteWriter();
  writer.u8(commandKinds[command.kind]);
  writer.key(command.session);
  switch (command.kind) {
    case "request":
      writeRequest(writer, command.request);
      break;
    case "openSession":
      writer.key(command.node);
      break;
    case "endSession":
  }
  return writer.written();
}

/**
 * Whether every member can carry the command out. One that no member can would stand in the log for good, and end each
 * of them whenever it is started. Throws MalformedBytesError.
 */
export function checkCommand(bytes: Uint8Array): void {
  if (bytes.length > commandBytesMax) {
    throw new MalformedBytesError(`a command has ${bytes.length} bytes, of ${commandBytesMax} at most`);
  }
  try {
    decodeCommand(bytes);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new MalformedBytesError(error.message, { cause: error });
  }
}

/** Throws MalformedBytesError, or a RangeError for an id that is none. */
export function decodeCommand(bytes: Uint8Array): Command {
  const reader = createByteReader(bytes);
  const kind = reader.u8();
  const session = reader.key();
  const command = readCommand(kind, session, reader);
  if (!reader.atEnd()) throw new MalformedBytesError("bytes are left behind a command");
  return command;
}

type Reader = ReturnType<typeof createByteReader>;

function readCommand(kind: number, session: string, reader: Reader): Command {
  switch (kind) {
    case commandKinds.request:
      return { kind: "request", session, request: readRequest(reader) };
    case commandKinds.openSession:
      return { kind: "openSession", session, node: directoryId(reader.key()) };
    case commandKinds.endSession:
      return { kind: "endSession", session };
    default:
      throw new MalformedBytesError(`a command has the unknown kind ${kind}`);
  }
}

function writeRequest(writer: ByteWriter, { guards, batches }: StoreRequest): void {
  writer.u16(guards.length);
  for (const { key, value } of guards) {
    writer.key(key);
    writer.u8(value === undefined ? 0 : 1);
    if (value !== undefined) writer.value(value);
  }
  writer.u16(batches.length);
  for (const changes of batches) {
    writer.u16(changes.length);
    for (const change of changes) writeChange(writer, change);
  }
}

function writeChange(writer: ByteWriter, change: StoreChange): void {
  if (change.kind === "delete") {
    writer.u8(changeKinds.delete);
    writer.key(change.key);
    return;
  }
  writer.u8(change.ephemeral ? changeKinds.ephemeralPut : changeKinds.put);
  writer.key(change.key);
  writer.value(change.value);
}

function readRequest(reader: Reader): StoreRequest {
  const guards = Array.from({ length: reader.u16() }, () => {
    const key = reader.key();
    return { key, value: reader.u8() === 1 ? reader.value() : undefined };
  });
  const batches = Array.from({ length: reader.u16() }, () =>
    Array.from({ length: reader.u16() }, () => readChange(reader)),
  );
  return { guards, batches };
}

function readChange(reader: Reader): StoreChange {
  const kind = reader.u8();
  const key = reader.key();
  switch (kind) {
    case changeKinds.delete:
      return { kind: "delete", key };
    case changeKinds.put:
      return { kind: "put", key, value: reader.value() };
    case changeKinds.ephemeralPut:
      return { kind: "put", key, value: reader.value(), ephemeral: true };
    default:
      throw new MalformedBytesError(`a change has the unknown kind ${kind}`);
  }
}
