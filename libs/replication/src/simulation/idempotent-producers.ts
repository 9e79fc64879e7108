/**
 * Idempotent producers of a walk. Each has several batches on their way, sends any of them again at any moment, at any
 * broker, whatever it was told; copies of long ago come late; now and then it begins a new producer epoch.
 */
import type { Answer } from "../outputs.ts";
import type { ProducerStamp } from "../producers/producer-batch.ts";
import type { Random } from "./seeded-random.ts";
import type { Cluster, Request, SimulatedBroker } from "./world.ts";

interface Sent {
  readonly value: number;
  readonly producer: ProducerStamp;
  isSettled: boolean;
}

interface Producer {
  readonly id: bigint;
  epoch: number;
  nextSequence: number;
  /** Everything it ever sent, oldest first. */
  readonly sent: Sent[];
}

export interface IdempotentProducers {
  /** Sends the next batch. */
  sendNext(broker: SimulatedBroker): void;
  /** Sends one that is on its way again. */
  sendAgain(broker: SimulatedBroker): void;
  /** A copy of anything that was ever sent arrives. */
  sendLate(broker: SimulatedBroker): void;
  answered(answer: Answer, request: Request): void;
}

/** Batches that a producer has on their way at most. */
const inFlightMax = 6;

export function createIdempotentProducers(random: Random, cluster: () => Cluster): IdempotentProducers {
  const producers: readonly Producer[] = [1n, 2n].map((id) => ({ id, epoch: 0, nextSequence: 0, sent: [] }));
  let lastValue = 0;
  const draw = () => random.pick(producers);
  const give = (broker: SimulatedBroker, { value, producer }: Sent) => {
    const deadlineMs = cluster().nowMs() + 5_000;
    const records = producer.lastOffsetDelta + 1;
    cluster().produce(broker, { records, acks: "all", deadlineMs, idempotent: { producer, value } });
  };
  const onTheirWay = (producer: Producer) => producer.sent.filter(({ isSettled }) => !isSettled);

  return {
    sendNext(broker) {
      const producer = draw();
      if (producer === undefined || onTheirWay(producer).length >= inFlightMax) return;
      const lastOffsetDelta = random.below(3);
      const { id: producerId, epoch: producerEpoch, nextSequence: baseSequence } = producer;
      const stamp = { producerId, producerEpoch, baseSequence, lastOffsetDelta };
      // Negative, so that no batch without a producer has the same.
      const sent = { value: --lastValue, producer: stamp, isSettled: false };
      producer.nextSequence += lastOffsetDelta + 1;
      producer.sent.push(sent);
      give(broker, sent);
    },
    sendAgain(broker) {
      const producer = draw();
      const sent = producer === undefined ? undefined : random.pick(onTheirWay(producer).slice(0, 3));
      if (sent !== undefined) give(broker, sent);
    },
    sendLate(broker) {
      const sent = random.pick(draw()?.sent.slice(-20) ?? []);
      if (sent !== undefined) give(broker, sent);
    },
    answered(answer, request) {
      if (request.kind !== "produce" || request.producer === undefined) return;
      const { producerId, producerEpoch } = request.producer;
      const producer = producers.find(({ id }) => id === producerId);
      const sent = producer?.sent.find(({ value }) => value === request.value);
      if (producer === undefined || sent === undefined) return;
      if (answer.kind === "produced") sent.isSettled = true;
      else if (answer.kind === "refused" && answer.refusal.outcome === "APPLIED") sent.isSettled = true;
      else if (answer.kind === "refused" && raisesEpoch(answer.refusal.reason) && producerEpoch === producer.epoch) {
        // What is in doubt ends as unknown: it is not sent again on purpose, though copies of it may be on their way.
        for (const each of producer.sent) each.isSettled = true;
        producer.epoch++;
        producer.nextSequence = 0;
      }
    },
  };
}

function raisesEpoch(reason: string): boolean {
  return reason === "UNKNOWN_PRODUCER" || reason === "REQUEST_TIMED_OUT";
}
