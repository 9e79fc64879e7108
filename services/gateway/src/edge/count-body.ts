import type { DescMessage } from "@bufbuild/protobuf";
import { type Compression, compressedFlag } from "@connectrpc/connect/protocol";
import { countElements, invalidArgument, type TidemarkError, tooManyElements } from "@tidemark/rpc";
import { toConnectError } from "./connect-error.ts";
import { inexactNumber } from "./exact-numbers.ts";
import { countJsonElements } from "./json-elements.ts";
import { createKeptBytes } from "./kept-bytes.ts";

/** How the messages of a request stand in its body. */
export interface BodyForm {
  readonly schema: DescMessage;
  readonly isJson: boolean;
  /** Whether each message has its length in front, as in streams and in gRPC-Web. Otherwise the body is one message. */
  readonly isFramed: boolean;
  /** Of the messages, or of those that say so. Undefined: none, or one that is not known. */
  readonly compression: Compression | undefined;
}

export interface BodyLimits {
  readonly messageLimitBytes: number;
  readonly elementLimit: number;
}

/** By the headers of a request in Connect or gRPC-Web. Undefined: it is in neither, and nobody decodes it. */
export function bodyFormOf(
  schema: DescMessage,
  header: Headers,
  compressions: readonly Compression[],
): BodyForm | undefined {
  const [, protocol, format] = contentTypes.exec(header.get("content-type") ?? "") ?? [];
  if (protocol === undefined) return undefined;
  const encoding = header.get(encodingHeaders[protocol.toLowerCase()] ?? "content-encoding");
  return {
    schema,
    isJson: format?.toLowerCase() === "json",
    isFramed: protocol !== "",
    compression: compressions.find(({ name }) => name === encoding),
  };
}

const contentTypes = /^application\/(connect(?=\+)|grpc-web|)\+?(json|proto)?(?: ?;|$)/i;
const encodingHeaders: Readonly<Record<string, string>> = {
  connect: "connect-content-encoding",
  "grpc-web": "grpc-encoding",
};

/** Bytes before a message: flags, then the length. */
const framePrefixBytes = 5;

/**
 * A body as it came, with the elements of each message counted before it goes on to be decoded, and its numbers looked at
 * where it is JSON. Throws a ConnectError in place of one that has too many, or a number that would become another one.
 * What is too large, or no message at all, goes on for the protocol library to refuse.
 */
export function countBody(
  body: AsyncIterable<Uint8Array>,
  form: BodyForm,
  limits: BodyLimits,
): AsyncIterable<Uint8Array> {
  return form.isFramed ? countFrames(body, form, limits) : countWhole(body, form, limits);
}

async function* countWhole(
  body: AsyncIterable<Uint8Array>,
  form: BodyForm,
  limits: BodyLimits,
): AsyncGenerator<Uint8Array> {
  const kept = createKeptBytes();
  let isTooLarge = false;
  for await (const piece of body) {
    if (isTooLarge) {
      yield piece;
      continue;
    }
    kept.add(piece);
    isTooLarge = kept.length > limits.messageLimitBytes;
    if (isTooLarge) yield kept.takeAll();
  }
  if (isTooLarge) return;
  const bytes = kept.takeAll();
  await refuse(bytes, form, limits);
  yield bytes;
}

async function* countFrames(
  body: AsyncIterable<Uint8Array>,
  form: BodyForm,
  limits: BodyLimits,
): AsyncGenerator<Uint8Array> {
  const kept = createKeptBytes();
  let frame: { readonly flags: number; readonly length: number } | undefined;
  let isTooLarge = false;
  for await (const piece of body) {
    kept.add(piece);
    while (!isTooLarge) {
      if (frame === undefined && kept.length >= framePrefixBytes) {
        const prefix = kept.take(framePrefixBytes);
        frame = { flags: prefix[0] ?? 0, length: prefix.readUInt32BE(1) };
        isTooLarge = frame.length > limits.messageLimitBytes;
        yield prefix;
      }
      if (frame === undefined || kept.length < frame.length) break;
      const message = kept.take(frame.length);
      const isCompressed = (frame.flags & compressedFlag) !== 0;
      await refuse(message, isCompressed ? form : { ...form, compression: undefined }, limits);
      frame = undefined;
      if (message.length > 0) yield message;
    }
    if (isTooLarge) yield kept.takeAll();
  }
  // A message that broke off.
  if (kept.length > 0) yield kept.takeAll();
}

async function refuse(bytes: Uint8Array, form: BodyForm, limits: BodyLimits): Promise<void> {
  const error = await refusalOf(bytes, form, limits);
  if (error !== undefined) throw toConnectError(error);
}

async function refusalOf(
  bytes: Uint8Array,
  { schema, isJson, compression }: BodyForm,
  { elementLimit, messageLimitBytes }: BodyLimits,
): Promise<TidemarkError | undefined> {
  let plain = bytes;
  if (compression !== undefined) {
    try {
      plain = await compression.decompress(bytes, messageLimitBytes);
    } catch {
      return undefined;
    }
  }
  const count = isJson ? countJsonElements : countElements;
  if (count(schema, plain, elementLimit) > elementLimit) return tooManyElements(schema.typeName, elementLimit);
  const inexact = isJson ? inexactNumber(plain) : undefined;
  return inexact === undefined ? undefined : wouldChange(inexact);
}

function wouldChange(number: string): TidemarkError {
  return invalidArgument(
    `The number ${number} would be stored as another one: numbers of JSON are doubles, which hold whole numbers exactly up ` +
      "to 2^53. Send it as a string, or the whole value as text or bytes.",
  );
}
