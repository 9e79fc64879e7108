/** The errors of the broker's data service, each with the way out. */
import { LogError } from "@tidemark/log";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { type Place, TidemarkError } from "@tidemark/rpc";

export { invalidArgument, unknownPartition, unknownTopic } from "@tidemark/rpc";

/** What a log throws, as a caller is told it. `outcome`: what is known of an append that had begun. */
export function fromLogError(error: unknown, place: Place, outcome: Outcome = Outcome.NOT_APPLIED): TidemarkError {
  if (error instanceof TidemarkError) return error;
  const { topic, partition } = place;
  const name = `${topic}-${partition}`;
  if (!(error instanceof LogError)) {
    return new TidemarkError({
      reason: Reason.INTERNAL,
      message: `Partition ${name} failed; the broker's log says more`,
      outcome,
      topic,
      partition,
      cause: error,
    });
  }
  const common = { topic, partition, cause: error, outcome } as const;
  switch (error.code) {
    case "NO_SPACE":
      return new TidemarkError({
        ...common,
        reason: Reason.DISK_FULL,
        message: `The disk under ${name} is full: nothing was appended. Make room, or lower the topic's retention.`,
      });
    case "OFFLINE":
    case "DIRECTORY_FAILED":
      return new TidemarkError({
        ...common,
        reason: Reason.LOG_DIRECTORY_FAILED,
        message: `The log of ${name} is out of service: ${error.message}`,
      });
    case "CLOSED":
      return new TidemarkError({ ...common, reason: Reason.SHUTTING_DOWN, message: "The broker is stopping" });
    case "CUTTING":
      return new TidemarkError({
        ...common,
        reason: Reason.NOT_ATTEMPTED,
        message: `${name} is being truncated; retry in a moment`,
      });
    case "OFFSET_OUT_OF_RANGE":
      return new TidemarkError({ ...common, reason: Reason.OFFSET_OUT_OF_RANGE, message: error.message });
    case "INVALID_APPEND":
      return new TidemarkError({ ...common, reason: Reason.CORRUPT_BATCH, message: error.message });
  }
}
