/** How a stream in Connect or a call in gRPC-Web ends, with the reason and the way out where the protocol library ended it by itself. */
import type { JsonObject } from "@bufbuild/protobuf";
import { type Compression, compressedFlag, type UniversalServerResponse } from "@connectrpc/connect/protocol";
import { codeToString } from "@connectrpc/connect/protocol-connect";
import { setTrailerStatus, trailerParse, trailerSerialize } from "@connectrpc/connect/protocol-grpc-web";
import { STATUS_DETAILS_KEY, type TidemarkError } from "@tidemark/rpc";
import { codeOf, toConnectError, toErrorBody } from "./connect-error.ts";

/** What a failure without details is to be; undefined where it stays as it is. */
export type Judge = (error: Readonly<Record<string, unknown>>) => TidemarkError | undefined;

/** How a protocol frames the end of what it answers. */
interface EndForm {
  /** Flag of the frame that it stands in. */
  readonly flag: number;
  /** Header that says how frames are compressed. */
  readonly encodingHeader: string;
  /** The end with its error explained; undefined where it has none, or one that stays as it is. */
  explain(end: Uint8Array, judge: Judge): Uint8Array | undefined;
}

/** By what the content type begins with. */
const endForms: Readonly<Record<string, EndForm>> = {
  "application/connect+": { flag: 0b10, encodingHeader: "connect-content-encoding", explain: explainConnectEnd },
  "application/grpc-web": { flag: 0b1000_0000, encodingHeader: "grpc-encoding", explain: explainTrailers },
};

/** Bytes before a message: flags, then the length. */
const framePrefixBytes = 5;
/** Of what this process compressed itself: there is nothing to be on guard against. */
export const ownBytesMax = 2 ** 30;

/** Leaves alone what is no such stream. `compressions` are those that the library may have used. */
export function explainStream(
  response: UniversalServerResponse,
  judge: Judge,
  compressions: readonly Compression[],
): UniversalServerResponse {
  const { body } = response;
  const header = new Headers(response.header);
  const type = header.get("content-type") ?? "";
  const [, form] = Object.entries(endForms).find(([beginning]) => type.startsWith(beginning)) ?? [];
  if (body === undefined || form === undefined) return response;
  const encoding = header.get(form.encodingHeader);
  const compression = compressions.find(({ name }) => name === encoding);
  return { ...response, body: explainFrames(body, form, { judge, compression }) };
}

interface Explaining {
  readonly judge: Judge;
  readonly compression: Compression | undefined;
}

/** The library hands each frame on as one piece. */
async function* explainFrames(
  frames: AsyncIterable<Uint8Array>,
  form: EndForm,
  explaining: Explaining,
): AsyncIterable<Uint8Array> {
  for await (const frame of frames) {
    yield ((frame[0] ?? 0) & form.flag) === 0 ? frame : await explainEnd(frame, form, explaining);
  }
}

async function explainEnd(frame: Uint8Array, form: EndForm, { judge, compression }: Explaining): Promise<Uint8Array> {
  const isCompressed = ((frame[0] ?? 0) & compressedFlag) !== 0;
  const body = frame.subarray(framePrefixBytes);
  // What the library says of a request quotes it, and is compressed where that was long.
  const end = isCompressed ? await compression?.decompress(body, ownBytesMax) : body;
  const explained = end === undefined ? undefined : form.explain(end, judge);
  return explained === undefined ? frame : framed(form.flag, explained);
}

function framed(flags: number, body: Uint8Array): Uint8Array {
  const frame = new Uint8Array(framePrefixBytes + body.length);
  frame[0] = flags;
  new DataView(frame.buffer).setUint32(1, body.length);
  frame.set(body, framePrefixBytes);
  return frame;
}

function explainConnectEnd(bytes: Uint8Array, judge: Judge): Uint8Array | undefined {
  const end = JSON.parse(new TextDecoder().decode(bytes)) as { readonly error?: JsonObject };
  const error = end.error === undefined ? undefined : judge(end.error);
  if (error === undefined) return undefined;
  return new TextEncoder().encode(JSON.stringify({ ...end, error: toErrorBody(error).json }));
}

function explainTrailers(bytes: Uint8Array, judge: Judge): Uint8Array | undefined {
  const trailers = trailerParse(bytes);
  const status = Number(trailers.get("grpc-status"));
  if (status === 0 || trailers.has(STATUS_DETAILS_KEY)) return undefined;
  const message = decodeURIComponent(trailers.get("grpc-message") ?? "");
  const error = judge({ code: codeToString(codeOf(status)), message });
  return error === undefined ? undefined : trailerSerialize(setTrailerStatus(trailers, toConnectError(error)));
}
