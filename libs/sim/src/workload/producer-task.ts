import type { ProducerOptions } from "@tidemark/client";
import { below, delay, type Random } from "@tidemark/runtime";
import type { Ledger, Sent } from "../checks/ledger.ts";
import type { SimClient } from "../cluster/cluster.ts";
import type { Task } from "./task.ts";

/** How one producer of the workload behaves. */
export interface ProducerPlan {
  readonly topic: string;
  readonly partitions: number;
  readonly options: ProducerOptions;
  /** Mean pause between two bursts, in milliseconds. */
  readonly pauseMs: number;
  /**
   * Acknowledged batches a second that it aims at over the whole of its life: while it has fewer, as behind an outage, its
   * pauses are shorter.
   */
  readonly aimPerS: number;
  /** Records given at once, at most. */
  readonly burstMax: number;
  /** Bytes of a value, at most. */
  readonly valueBytesMax: number;
  /** Records that may be unsettled. */
  readonly inFlightMax: number;
}

/** By how much the pauses of a producer are shorter that has fewer acks than it aims at. */
const hurry = 3;

/** While it is shut nothing new is sent. */
export interface WorkloadGate {
  isOpen: boolean;
}

/** Sends records until it is told to stop, and notes how each ended. `onBatch` is told of each acknowledged batch. */
export function startProducer(
  { name, process, client }: SimClient,
  plan: ProducerPlan,
  of: { readonly random: Random; readonly ledger: Ledger; readonly gate: WorkloadGate; readonly onBatch: () => void },
): Task {
  const { random, ledger } = of;
  const { scheduler, clock } = process.runtime;
  const producer = client.createProducer(plan.options);
  const next = new Map<number, number>();
  const stopping = new AbortController();
  let unsettled = 0;
  let lastAckMs = -1;
  let acknowledged = 0;
  const beganMs = clock.monotonicMs();
  const isBehind = () => acknowledged < ((clock.monotonicMs() - beganMs) / 1000) * plan.aimPerS;

  const send = (partition: number): void => {
    const sequence = next.get(partition) ?? 0;
    next.set(partition, sequence + 1);
    const id = `${name}/${partition}/${sequence}`;
    const value = valueOf(id, below(random, plan.valueBytesMax), random);
    const isIdempotent = plan.options.idempotence ?? true;
    const sent = ledger.send({ id, producer: name, isIdempotent, topic: plan.topic, partition, sequence, value });
    unsettled += 1;
    producer.send(plan.topic, { partition, value }).then((outcome) => {
      unsettled -= 1;
      settle(sent, outcome);
    }, neverRejects);
  };
  const settle = (sent: Sent, outcome: Awaited<ReturnType<typeof producer.send>>) => {
    ledger.settled(sent, outcome.kind, outcome.kind === "acknowledged" ? outcome.offset : undefined);
    if (outcome.kind !== "acknowledged") return;
    // The records of one batch are settled at one moment.
    const nowMs = clock.monotonicMs();
    if (nowMs === lastAckMs) return;
    lastAckMs = nowMs;
    acknowledged += 1;
    of.onBatch();
  };
  const run = async () => {
    while (!stopping.signal.aborted) {
      if (of.gate.isOpen && unsettled < plan.inFlightMax) {
        const partition = below(random, plan.partitions);
        for (let count = 1 + below(random, plan.burstMax); count > 0; count--) send(partition);
      }
      const pauseMs = 2 * random.next() * (isBehind() ? plan.pauseMs / hurry : plan.pauseMs);
      await delay(scheduler, pauseMs, stopping.signal).catch(() => undefined);
    }
    await producer.close();
  };

  return {
    name,
    ended: run(),
    stop: () => stopping.abort(),
    waitsFor: () => `${unsettled} records are not settled`,
  };
}

const encoder = new TextEncoder();

/** A value that begins with its id and a bar. */
function valueOf(id: string, extra: number, random: Random): Uint8Array {
  const head = encoder.encode(`${id}|`);
  const value = new Uint8Array(head.length + extra);
  value.set(head);
  const fill = below(random, 256);
  value.fill(fill, head.length);
  return value;
}

function neverRejects(error: unknown): never {
  throw new Error("A producer's send rejected", { cause: error });
}
