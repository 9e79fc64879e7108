import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type ProduceStreamRequest,
  type ProduceStreamResponseSchema,
  type ProduceStreamResult,
  ProduceStreamResultSchema,
} from "@tidemark/proto/log/v1";
import { type ByteBudget, createUnansweredMessages, type RawStream, TidemarkError, toErrorDetail } from "@tidemark/rpc";
import type { Scheduler } from "@tidemark/runtime";

/** Bytes of a stream's messages that may be on their way; above it the producer is held back. */
const unansweredBytesMax = 8 * 2 ** 20;

/** What a producer is told, and how much of what it sent is still to be told of. */
export interface StreamAnswers {
  /**
   * A message came: there will be one `settle` for it, unless it is refused at once, with the result, since too much of all
   * producers is on its way. Holds this one back where too much of its own is.
   */
  expect(request: ProduceStreamRequest): TidemarkError | undefined;
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
  { scheduler, budget }: { readonly scheduler: Scheduler; readonly budget: ByteBudget },
  onEnd: () => void,
): StreamAnswers {
  let results: ProduceStreamResult[] = [];
  let isScheduled = false;
  let canWrite = true;
  let messages = 0;
  let ending: { readonly error: TidemarkError | undefined } | undefined;

  const unanswered = createUnansweredMessages({ stream, bytesMax: unansweredBytesMax, budget });

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

  const tell = (
    { sequence }: ProduceStreamRequest,
    outcome: Pick<ProduceStreamResult, "leaderEpoch" | "baseOffset"> | TidemarkError,
  ) => {
    const result =
      outcome instanceof TidemarkError
        ? { error: toErrorDetail(outcome), message: outcome.message }
        : { leaderEpoch: outcome.leaderEpoch, ...pickOffset(outcome) };
    results.push(create(ProduceStreamResultSchema, { ...result, sequence }));
    schedule();
  };

  return {
    expect(request) {
      const error = unanswered.take(request.batches.length);
      if (error === undefined) messages += 1;
      else tell(request, error);
      return error;
    },
    settle(request, outcome) {
      messages -= 1;
      unanswered.give(request.batches.length);
      tell(request, outcome);
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
      unanswered.close();
    },
  };
}

/** Absent with acks none. */
function pickOffset({ baseOffset }: Pick<ProduceStreamResult, "baseOffset">): { readonly baseOffset?: bigint } {
  return baseOffset === undefined ? {} : { baseOffset };
}
