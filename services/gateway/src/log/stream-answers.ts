import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type ProduceStreamRequest,
  type ProduceStreamResponseSchema,
  type ProduceStreamResult,
  ProduceStreamResultSchema,
} from "@tidemark/proto/log/v1";
import { type RawStream, TidemarkError, toErrorDetail } from "@tidemark/rpc";
import type { Scheduler } from "@tidemark/runtime";

/** Bytes of a stream's batches that may be on their way; above it the producer is held back. */
const unansweredBytesMax = 8 * 2 ** 20;

/** What a producer is told, and how much of what it sent is still to be told of. */
export interface StreamAnswers {
  /** A message came: there will be one `settle` for it. Holds the producer back where too much is on its way. */
  expect(request: ProduceStreamRequest): void;
  settle(
    request: ProduceStreamRequest,
    outcome: Pick<ProduceStreamResult, "leaderEpoch" | "baseOffset"> | TidemarkError,
  ): void;
  /** Ends the stream once every message is settled and told. The first call counts. */
  end(error: TidemarkError | undefined): void;
  /** The queue towards the producer has room again. */
  onDrain(): void;
  /** The producer is gone. */
  drop(): void;
}

/** One answer tells of every message that was settled since the last one. `onEnd`: all is settled after `end`. */
export function createStreamAnswers(
  stream: RawStream<MessageInitShape<typeof ProduceStreamResponseSchema>>,
  scheduler: Scheduler,
  onEnd: () => void,
): StreamAnswers {
  let results: ProduceStreamResult[] = [];
  let isScheduled = false;
  let canWrite = true;
  let messages = 0;
  let bytes = 0;
  let isPaused = false;
  let ending: { readonly error: TidemarkError | undefined } | undefined;

  const send = () => {
    isScheduled = false;
    if (results.length > 0 && canWrite) {
      const told = results;
      results = [];
      canWrite = stream.write({ results: told });
    }
    if (ending === undefined || messages > 0 || results.length > 0) return;
    onEnd();
    stream.end(ending.error);
  };
  const schedule = () => {
    if (isScheduled) return;
    isScheduled = true;
    scheduler.afterInput(send);
  };

  return {
    expect({ batches }) {
      messages += 1;
      bytes += batches.length;
      if (isPaused || bytes <= unansweredBytesMax) return;
      isPaused = true;
      stream.pause();
    },
    settle({ sequence, batches }, outcome) {
      messages -= 1;
      bytes -= batches.length;
      if (isPaused && bytes < unansweredBytesMax / 2) {
        isPaused = false;
        stream.resume();
      }
      const result =
        outcome instanceof TidemarkError
          ? { error: toErrorDetail(outcome), message: outcome.message }
          : { leaderEpoch: outcome.leaderEpoch, ...pickOffset(outcome) };
      results.push(create(ProduceStreamResultSchema, { ...result, sequence }));
      schedule();
    },
    end(error) {
      ending ??= { error };
      schedule();
    },
    onDrain() {
      canWrite = true;
      schedule();
    },
    drop() {
      results = [];
    },
  };
}

/** Absent with acks none. */
function pickOffset({ baseOffset }: Pick<ProduceStreamResult, "baseOffset">): { readonly baseOffset?: bigint } {
  return baseOffset === undefined ? {} : { baseOffset };
}
