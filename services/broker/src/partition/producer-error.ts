/** What is refused of an idempotent producer, as it is told it (R11). */
import { type Outcome, Reason } from "@tidemark/proto/common/v1";
import type { RefusalReason, SequenceRefusal } from "@tidemark/replication";
import { TidemarkError } from "@tidemark/rpc";
import type { Waiting } from "./replica-state.ts";

export type ProducerReason = Extract<RefusalReason, "PRODUCERS_NOT_CURRENT" | "DUPLICATE_SEQUENCE" | SequenceRefusal>;

export interface ProducerPlace {
  readonly topic: string;
  readonly partition: number;
  readonly outcome: Outcome;
  /** As people know the partition. */
  readonly name: string;
}

/** The batch as its producer knows it. */
export function batchName(waiting: Waiting): string {
  const header = waiting.kind === "produce" ? waiting.batches.headers[0] : undefined;
  if (header === undefined) return "The batch";
  const { producerId, producerEpoch, baseSequence } = header;
  return `The batch with sequence ${baseSequence} of producer ${producerId}, producer epoch ${producerEpoch},`;
}

export function producerError(reason: ProducerReason, batch: string, { name, ...where }: ProducerPlace): TidemarkError {
  switch (reason) {
    case "PRODUCERS_NOT_CURRENT":
      return new TidemarkError({
        ...where,
        reason: Reason.LEADER_NOT_AVAILABLE,
        message: `The new leader of ${name} is still cutting its log, and cannot tell whether it holds the batch; retry in a moment`,
      });
    case "OUT_OF_ORDER_SEQUENCE":
      return new TidemarkError({
        ...where,
        reason: Reason.OUT_OF_ORDER_SEQUENCE,
        message: `${batch} does not follow the last one in ${name}: send what is missing first`,
      });
    case "UNKNOWN_PRODUCER":
      return new TidemarkError({
        ...where,
        reason: Reason.UNKNOWN_PRODUCER,
        message: `${batch} goes on, and ${name} knows nothing of that producer any more: raise the producer epoch by InitProducer and begin with sequence 0`,
      });
    case "PRODUCER_ID_NOT_GIVEN":
      // This broker may not have heard yet of the block that the id is from.
      return new TidemarkError({
        ...where,
        reason: Reason.INVALID_ARGUMENT,
        message: `${batch} has an id that was given to nobody, as far as this broker knows: ids come from InitProducer. Retry in a moment if this one does`,
        retriable: true,
      });
    case "TOO_MANY_PRODUCERS":
      return new TidemarkError({
        ...where,
        reason: Reason.RESOURCE_EXHAUSTED,
        message: `${batch} is of a new producer, and ${name} remembers as many as it may (producer.ids.max.per.partition), none of them silent for long. Use a producer again rather than a new one, or retry later`,
      });
    case "FENCED_PRODUCER":
      return new TidemarkError({
        ...where,
        reason: Reason.FENCED_PRODUCER,
        message: `${batch} comes too late: ${name} has batches of a newer producer epoch`,
      });
    case "DUPLICATE_SEQUENCE":
      return new TidemarkError({
        ...where,
        reason: Reason.DUPLICATE_SEQUENCE,
        message: `${batch} is stored in ${name} since long; its offset is not known any more`,
      });
  }
}
