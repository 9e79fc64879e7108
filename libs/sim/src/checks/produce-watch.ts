import type { BrokerExperiment } from "@tidemark/broker";
import type { Answer, PartitionInput, PartitionView } from "@tidemark/replication";
import type { Violations } from "./violations.ts";

type OnStep = NonNullable<BrokerExperiment["onStep"]>;
type Produce = Extract<PartitionInput, { kind: "produce" }>;

/**
 * Looks at what leaders answer to produces, in the step in which they do:
 *
 * - acks=all is answered only below the high watermark of that moment, a repeat like its original (R4, R11);
 * - what was acknowledged once to an idempotent producer is not refused later on for the size of the ISR (R11) by a
 *   leader of that leader epoch or a later one. One that was deposed and did not hear of it knows nothing of the ack.
 */
export interface ProduceWatch {
  /** What a process of a broker tells. `process`: unlike that of any other life of a broker. */
  observe(process: string): OnStep;
  /** The process has ended. */
  forget(process: string): void;
}

/** `mayLose`: whether an unclean election may take away what a replica's leader acknowledged. */
export function createProduceWatch(
  { report }: Violations,
  mayLose: (replica: Parameters<OnStep>[0]) => boolean,
): ProduceWatch {
  const waiting = new Map<string, Map<number, Produce>>();
  /** By batch of an idempotent producer, `partition id:epoch:sequence`: the leader epoch in which it was acknowledged first. */
  const acknowledged = new Map<string, number>();

  const checkAnswer = (replica: Parameters<OnStep>[0], answer: Answer, produce: Produce, view: PartitionView) => {
    const key = `${replica.topicId}-${replica.partition}`;
    const stamp = produce.producer;
    const name = stamp === undefined ? "" : ` ${stamp.producerId}:${stamp.producerEpoch}:${stamp.baseSequence}`;
    if (answer.kind === "produced" && produce.acks === "all") {
      if (answer.endOffset > view.highWatermark) {
        const text = `${key}${name}: up to ${answer.endOffset}, high watermark ${view.highWatermark}`;
        report("a produce was acknowledged before it was committed", text);
      }
      const known = acknowledged.get(key + name) ?? answer.leaderEpoch;
      if (stamp !== undefined) acknowledged.set(key + name, Math.min(known, answer.leaderEpoch));
    }
    const isRefused = answer.kind === "refused" && answer.refusal.reason === "NOT_ENOUGH_REPLICAS";
    const since = acknowledged.get(key + name);
    const isDeposed = since !== undefined && (view.state?.leaderEpoch ?? 0) < since;
    if (isRefused && stamp !== undefined && since !== undefined && !isDeposed && !mayLose(replica)) {
      report("a repeat was refused for the size of the ISR", `${key}${name}`);
    }
  };

  return {
    observe(process) {
      const own = new Map<number, Produce>();
      waiting.set(process, own);
      return (replica, takeView, input, output) => {
        if (input.kind === "produce") own.set(input.requestId, input);
        for (const answer of output.answer) {
          const produce = own.get(answer.requestId);
          if (produce === undefined) continue;
          own.delete(answer.requestId);
          checkAnswer(replica, answer, produce, takeView());
        }
      };
    },
    forget: (process) => waiting.delete(process),
  };
}
