/**
 * A producer with an id that speaks to the data service itself, and so does what the SDK never does: copies of what it
 * sent arrive seconds after it was settled, as from a network that doubles and delays, and it raises its producer epoch
 * for no reason. Whatever comes late, each batch stands once, and in order (P11).
 */

import { Outcome, Reason, TidemarkError } from "@tidemark/client";
import { crc32c } from "@tidemark/compression";
import { type BatchProducer, encodeBatch } from "@tidemark/record";
import { below, delay, type Random } from "@tidemark/runtime";
import type { Ledger, Sent } from "../checks/ledger.ts";
import type { SimClient } from "../cluster/cluster.ts";
import type { WorkloadGate } from "./producer-task.ts";
import type { Task } from "./task.ts";

/** How it behaves. */
export interface IdempotentPlan {
  readonly topic: string;
  readonly partitions: number;
  /** Mean pause between two batches, in milliseconds. */
  readonly pauseMs: number;
  /** Batches of a partition that may be unsettled. */
  readonly inFlightMax: number;
  /** How likely a copy of a settled batch comes late, and how late at most, in milliseconds. */
  readonly copies: { readonly share: number; readonly lateMsMax: number };
  /** How likely it raises its producer epoch before a batch, where nothing is unsettled. */
  readonly raiseShare: number;
  /** How long one try, and all tries of a batch together, may take, in milliseconds. */
  readonly requestTimeoutMs: number;
  readonly deliveryTimeoutMs: number;
}

interface Batch {
  readonly sent: readonly Sent[];
  readonly bytes: Uint8Array;
  readonly firstAtMs: number;
  /** A try is on its way. */
  isSent: boolean;
  isUnknown: boolean;
}

/** One partition: who the producer is there, and what is on its way, oldest first. */
interface Lane {
  readonly partition: number;
  identity: { readonly id: bigint; readonly epoch: number } | undefined;
  /** Nothing more is sent under this identity. */
  isOver: boolean;
  /** Counts the records of this partition over all epochs. */
  given: number;
  sequence: number;
  open: Batch[];
}

const retryMs = 100;
/** What a leader says that cannot go on from the producer's last batch. */
const breaksSequence: ReadonlySet<Reason> = new Set([
  Reason.OUT_OF_ORDER_SEQUENCE,
  Reason.UNKNOWN_PRODUCER,
  Reason.FENCED_PRODUCER,
]);

export function startIdempotentProducer(
  { name, process, client }: SimClient,
  plan: IdempotentPlan,
  of: { readonly random: Random; readonly ledger: Ledger; readonly gate: WorkloadGate; readonly onBatch: () => void },
): Task {
  const { random, ledger } = of;
  const { scheduler, clock } = process.runtime;
  const stopping = new AbortController();
  const lanes = Array.from(
    { length: plan.partitions },
    (_, partition): Lane => ({ partition, identity: undefined, isOver: false, given: 0, sequence: 0, open: [] }),
  );

  const sendOnce = async ({ partition }: Pick<Lane, "partition">, batches: Uint8Array) => {
    const { topic, requestTimeoutMs: timeoutMs } = plan;
    const { results } = await client.log.produce({ topic, partition, batches, timeoutMs }, { timeoutMs });
    return results[0]?.baseOffset;
  };
  const copyLater = (lane: Lane, { bytes }: Batch) => {
    if (random.next() >= plan.copies.share) return;
    // Nobody waits for it, and nobody minds what becomes of it.
    scheduler.after(below(random, plan.copies.lateMsMax), () => {
      sendOnce(lane, bytes).catch(() => undefined);
    });
  };
  const settle = (lane: Lane, batch: Batch, ending: { readonly offset?: bigint | undefined } | "given up") => {
    lane.open = lane.open.filter((each) => each !== batch);
    const isUnknown = batch.isUnknown || batch.isSent;
    const failed = isUnknown ? "unknown" : "notApplied";
    batch.sent.forEach((sent, index) => {
      const offset = ending === "given up" || ending.offset === undefined ? undefined : ending.offset + BigInt(index);
      ledger.settled(sent, ending === "given up" ? failed : "acknowledged", offset);
    });
    if (ending !== "given up") of.onBatch();
    if (ending !== "given up" || isUnknown) copyLater(lane, batch);
  };
  /** What is unsettled of an identity that is over is not sent again: what is in doubt stays in doubt. */
  const giveUp = (lane: Lane) => {
    lane.isOver = true;
    for (const batch of lane.open) settle(lane, batch, "given up");
  };

  const deliver = async (lane: Lane, batch: Batch): Promise<void> => {
    while (lane.open.includes(batch)) {
      try {
        batch.isSent = true;
        const offset = await sendOnce(lane, batch.bytes);
        batch.isSent = false;
        // Its identity may be over by now, with everything that was on its way.
        if (lane.open.includes(batch)) settle(lane, batch, { offset });
        return;
      } catch (error) {
        batch.isSent = false;
        if (!(error instanceof TidemarkError)) throw error;
        if (error.outcome === Outcome.UNKNOWN) batch.isUnknown = true;
        if (!lane.open.includes(batch)) return;
        if (error.outcome === Outcome.APPLIED) settle(lane, batch, {});
        else if (mustEnd(lane, batch, error)) giveUp(lane);
      }
      await delay(scheduler, retryMs * (1 + random.next()));
    }
  };
  const mustEnd = (lane: Lane, batch: Batch, error: TidemarkError): boolean => {
    if (breaksSequence.has(error.reason)) return lane.open[0] === batch;
    const isLate = clock.monotonicMs() - batch.firstAtMs > plan.deliveryTimeoutMs;
    return isLate || !(error.retriable || error.outcome === Outcome.UNKNOWN);
  };

  const identify = async (lane: Lane): Promise<void> => {
    const { identity } = lane;
    const raised = identity === undefined ? {} : { producerId: identity.id, producerEpoch: identity.epoch };
    const { producerId, producerEpoch } = await client.log.initProducer(raised, { timeoutMs: 2000 });
    lane.identity = { id: producerId, epoch: producerEpoch };
    lane.isOver = false;
    lane.sequence = 0;
  };
  const give = (lane: Lane, identity: { readonly id: bigint; readonly epoch: number }) => {
    const records = 1 + below(random, 3);
    const values = Array.from({ length: records }, (_, index) => `${name}/${lane.partition}/${lane.given + index}`);
    const producer: BatchProducer = { ...identity, sequence: lane.sequence };
    const encoded = values.map((id) => new TextEncoder().encode(`${id}|`));
    const sent = values.map((id, index) =>
      ledger.send({
        id,
        producer: name,
        isIdempotent: true,
        topic: plan.topic,
        partition: lane.partition,
        sequence: lane.given + index,
        value: encoded[index] ?? new Uint8Array(0),
      }),
    );
    const bytes = encodeBatch(
      encoded.map((value) => ({ timestamp: BigInt(clock.wallMs()), key: null, value, headers: [] })),
      { crc32c, producer },
    );
    lane.given += records;
    lane.sequence += records;
    const batch: Batch = { sent, bytes, firstAtMs: clock.monotonicMs(), isSent: false, isUnknown: false };
    lane.open.push(batch);
    deliver(lane, batch).catch(neverRejects);
  };

  const takeTurn = async (lane: Lane): Promise<void> => {
    if (!of.gate.isOpen || lane.open.length >= plan.inFlightMax) return;
    const isRaised = lane.open.length === 0 && random.next() < plan.raiseShare;
    if (lane.identity === undefined || lane.isOver || isRaised) await identify(lane);
    if (lane.identity !== undefined) give(lane, lane.identity);
  };
  const run = async () => {
    while (!stopping.signal.aborted) {
      const lane = lanes[below(random, lanes.length)];
      // Without an identity there is nothing to send: the next turn asks again.
      if (lane !== undefined) await takeTurn(lane).catch(mayFail);
      await delay(scheduler, 2 * random.next() * plan.pauseMs, stopping.signal).catch(() => undefined);
    }
    while (lanes.some(({ open }) => open.length > 0)) await delay(scheduler, retryMs);
  };
  return {
    name,
    ended: run(),
    stop: () => stopping.abort(),
    waitsFor: () => `${lanes.reduce((sum, { open }) => sum + open.length, 0)} batches are not settled`,
  };
}

function mayFail(error: unknown): void {
  if (!(error instanceof TidemarkError)) neverRejects(error);
}

function neverRejects(error: unknown): never {
  throw new Error("An idempotent producer broke", { cause: error });
}
