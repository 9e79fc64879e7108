import { create } from "@bufbuild/protobuf";
import { FetchResponseSchema } from "@tidemark/proto/log/v1";
import type { Clock } from "@tidemark/runtime";
import { createLeanCodec } from "../lean/lean-codec.ts";
import { createProtobufCodec, type MessageCodec } from "../wire/message-codec.ts";

/** Milliseconds for all rounds: from a message to the bytes of a frame. */
export interface EncodingFigures {
  readonly leanMs: number;
  readonly protobufMs: number;
}

/** Encodes a fetch's answer with `batchBytes` of record batches, `rounds` times by each codec. */
export function measureEncoding(work: {
  readonly clock: Clock;
  readonly batchBytes: number;
  readonly rounds: number;
}): EncodingFigures {
  const answer = create(FetchResponseSchema, {
    partitions: [{ partition: 1, highWatermark: 7n, leaderEpoch: 3, batches: new Uint8Array(work.batchBytes).fill(7) }],
  });
  const run = (codec: MessageCodec<typeof FetchResponseSchema>) => {
    const startedAt = work.clock.monotonicMs();
    for (let round = 0; round < work.rounds; round++) {
      const bytes = codec.encode(answer);
      bytes.copy(Buffer.allocUnsafe(bytes.length + 5), 5);
    }
    return work.clock.monotonicMs() - startedAt;
  };
  const lean = createLeanCodec(FetchResponseSchema);
  const protobuf = createProtobufCodec(FetchResponseSchema);
  // The first round compiles: it belongs to neither.
  run(lean);
  run(protobuf);
  return { leanMs: run(lean), protobufMs: run(protobuf) };
}
