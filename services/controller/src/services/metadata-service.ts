/**
 * The metadata tree itself, as it stands in the store: keys with their JSON. Any controller answers, behind the store's
 * barrier.
 */
import { create, fromJson, type JsonValue, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { Consensus, WatchEvent } from "@tidemark/consensus";
import {
  type Entry,
  EntrySchema,
  ListResponseSchema,
  type MetadataService,
  type WatchResponseSchema,
} from "@tidemark/proto/admin/v1/metadata";
import type { ServiceImpl } from "@tidemark/rpc";
import type { ControllerCore } from "../core.ts";
import { invalidArgument } from "../errors.ts";
import { decodeValue } from "../state/store-codec.ts";
import { createQuorumService, type QuorumServiceOptions } from "./quorum-service.ts";
import { createTransferService } from "./transfer-service.ts";

const answerBytesMax = 3.5 * 2 ** 20;
/** Keys and values as they are stored, of which an answer is made at all to see what it weighs. */
const storedBytesMax = 2 * answerBytesMax;
/** A part of a snapshot is about this large. */
const partBytes = 256 * 1024;

export function createMetadataService(
  core: ControllerCore,
  about: QuorumServiceOptions,
): ServiceImpl<typeof MetadataService> {
  const { consensus } = about;
  const rejectReadably = (error: unknown): never => {
    throw core.readError(error);
  };
  const snapshot = async (signal: AbortSignal) => {
    await consensus.sync(signal).catch(rejectReadably);
    return readSnapshot(consensus, signal).catch(rejectReadably);
  };
  return {
    async get({ key }, { signal }) {
      const { entries, revision } = await snapshot(signal);
      const value = entries.get(key);
      return value === undefined ? { revision } : { revision, entry: entryOf(key, value) };
    },
    async list({ prefix }, { signal }) {
      const { entries, revision } = await snapshot(signal);
      const found = [...entries].filter(([key]) => key.startsWith(prefix)).sort(([a], [b]) => (a < b ? -1 : 1));
      const tooLarge = (bytes: number) =>
        invalidArgument(`prefix: ${found.length} keys have ${bytes} bytes; give a longer prefix, or watch`);
      // A value weighs about as much in the answer. Made of a whole large store, that would hold up the elections.
      const stored = found.reduce((sum, [key, value]) => sum + key.length + value.length, 0);
      if (stored > storedBytesMax) throw tooLarge(stored);
      const response = create(ListResponseSchema, {
        revision,
        entries: found.map(([key, value]) => entryOf(key, value)),
      });
      const bytes = toBinary(ListResponseSchema, response).length;
      if (bytes <= answerBytesMax) return response;
      throw tooLarge(bytes);
    },
    async *watch({ prefix }, { signal }) {
      try {
        for await (const event of consensus.watch(signal)) yield* watchFrames(event, prefix);
      } catch (error) {
        rejectReadably(error);
      }
    },
    ...createQuorumService(core, about),
    ...createTransferService(core, consensus),
  };
}

async function readSnapshot(
  consensus: Consensus,
  signal: AbortSignal,
): Promise<Extract<WatchEvent, { kind: "snapshot" }>> {
  const enough = new AbortController();
  try {
    for await (const event of consensus.watch(AbortSignal.any([signal, enough.signal]))) {
      if (event.kind === "snapshot") return event;
    }
  } finally {
    enough.abort();
  }
  signal.throwIfAborted();
  throw new Error("A watch ended before its snapshot");
}

function* watchFrames(event: WatchEvent, prefix: string): Generator<MessageInitShape<typeof WatchResponseSchema>> {
  const { revision } = event;
  if (event.kind === "batch") {
    const changes = event.changes.filter(({ key }) => key.startsWith(prefix));
    const put = changes.flatMap((change) => (change.kind === "put" ? [entryOf(change.key, change.value)] : []));
    const removed = changes.flatMap((change) => (change.kind === "delete" ? [change.key] : []));
    if (changes.length > 0) yield { revision, put, removed };
    return;
  }
  let snapshot = true;
  let put: Entry[] = [];
  let bytes = 0;
  for (const [key, value] of [...event.entries].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (!key.startsWith(prefix)) continue;
    put.push(entryOf(key, value));
    bytes += key.length + value.length;
    if (bytes < partBytes) continue;
    yield { revision, put, snapshot };
    // What follows of the same revision adds to the first part.
    [snapshot, put, bytes] = [false, [], 0];
  }
  if (snapshot || put.length > 0) yield { revision, put, snapshot };
}

function entryOf(key: string, value: Uint8Array): Entry {
  return create(EntrySchema, { key, value: valueOf(decodeValue(value)) });
}

/** The JSON of a value; its text where it is none. */
function valueOf(text: string): Value {
  try {
    return fromJson(ValueSchema, JSON.parse(text) as JsonValue);
  } catch {
    return create(ValueSchema, { kind: { case: "stringValue", value: text } });
  }
}
