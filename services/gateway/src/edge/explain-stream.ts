/** How a stream in Connect ends, with the reason and the way out where the protocol library ended it by itself. */
import type { JsonObject } from "@bufbuild/protobuf";
import type { UniversalServerResponse } from "@connectrpc/connect/protocol";
import type { TidemarkError } from "@tidemark/rpc";
import { toErrorBody } from "./connect-error.ts";

/** What a failure without details is to be; undefined where it stays as it is. */
export type Judge = (error: Readonly<Record<string, unknown>>) => TidemarkError | undefined;

/** Flags of the frame that ends a stream, where it is not compressed. */
const endOfStream = 2;
/** Bytes before a message: flags, then the length. */
const framePrefixBytes = 5;

/** The library hands each frame on as one piece. */
export function explainStream(response: UniversalServerResponse, judge: Judge): UniversalServerResponse {
  const { body } = response;
  if (body === undefined) return response;
  return { ...response, body: explainFrames(body, judge) };
}

async function* explainFrames(frames: AsyncIterable<Uint8Array>, judge: Judge): AsyncIterable<Uint8Array> {
  for await (const frame of frames) yield frame[0] === endOfStream ? explainEnd(frame, judge) : frame;
}

function explainEnd(frame: Uint8Array, judge: Judge): Uint8Array {
  const end = JSON.parse(new TextDecoder().decode(frame.subarray(framePrefixBytes))) as {
    readonly error?: JsonObject;
  };
  if (end.error === undefined) return frame;
  const error = judge(end.error);
  if (error === undefined) return frame;
  const json = new TextEncoder().encode(JSON.stringify({ ...end, error: toErrorBody(error).json }));
  const explained = new Uint8Array(framePrefixBytes + json.length);
  explained[0] = endOfStream;
  new DataView(explained.buffer).setUint32(1, json.length);
  explained.set(json, framePrefixBytes);
  return explained;
}
