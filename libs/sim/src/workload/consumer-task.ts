import { type ConsumedBatch, type ConsumerEvent, reasonName, TidemarkError } from "@tidemark/client";
import type { StoredRecord } from "@tidemark/record";
import { delay } from "@tidemark/runtime";
import type { Ledger } from "../checks/ledger.ts";
import type { Violations } from "../checks/violations.ts";
import type { SimClient } from "../cluster/cluster.ts";
import type { Task } from "./task.ts";

/** Errors that may pass are borne for longer than any run lasts, in milliseconds. */
const patienceMs = 1e9;

/**
 * Reads a topic from its beginning until it is told to stop. Whatever happens to the cluster it is given every offset
 * once and in order, and no error that it cannot go on after. Where unclean elections may cut what it was given, it is
 * told of that, and goes on from where the logs part (P5).
 */
export function startConsumer(
  { name, process, client }: SimClient,
  plan: {
    readonly topic: string;
    readonly partitions: number;
    readonly maxWaitMs: number;
    /** Whether an unclean election may take away what it was given. */
    readonly mayLose: boolean;
    /** How long it is busy with each batch, in milliseconds. */
    readonly busyMs: number;
  },
  of: { readonly ledger: Ledger; readonly violations: Violations },
): Task {
  const { topic } = plan;
  const stopping = new AbortController();
  const positions = new Map<number, bigint>();

  const take = ({ partition, records, highWatermark }: ConsumedBatch) => {
    for (const { offset, value } of records) {
      const expected = positions.get(partition) ?? 0n;
      if (offset !== expected) {
        const text = `${name} of ${topic}-${partition}: offset ${offset} where ${expected} was next`;
        of.violations.report("a consumer was given another offset than the next", text);
      }
      positions.set(partition, offset + 1n);
      of.ledger.read(topic, partition, { offset, value: value ?? new Uint8Array(0), highWatermark });
    }
  };
  const meet = (event: ConsumerEvent) => {
    if (event.kind === "outOfRange" || event.resumesAt === undefined) {
      of.violations.report("a consumer was told that its offset is not there", `${name}: ${event.offset}`);
      return;
    }
    positions.set(event.partition, event.resumesAt);
    of.ledger.truncated(topic, event.partition, { from: event.offset, to: event.given });
  };
  const read = async () => {
    // Partitions are named, so that a reader that comes before the cluster answers waits for it.
    const partitions = Array.from({ length: plan.partitions }, (_, index) => index);
    const consumer = client.createConsumer({
      topic,
      partitions,
      from: { offset: 0n },
      maxWaitMs: plan.maxWaitMs,
      retryTimeoutMs: patienceMs,
      ...(plan.mayLose ? { offsetReset: "earliest" as const, onEvent: meet } : {}),
    });
    try {
      for await (const batch of consumer.batches(stopping.signal)) {
        take(batch);
        if (plan.busyMs > 0) await delay(process.runtime.scheduler, plan.busyMs);
      }
    } catch (error) {
      of.violations.report("a consumer met an error that does not pass", `${name}: ${describeError(error)}`);
    }
  };
  return {
    name,
    ended: read(),
    stop: () => stopping.abort(),
    waitsFor: () => `is at ${[...positions].map(([partition, offset]) => `${partition}:${offset}`).join(" ")}`,
  };
}

/** Every record of every partition, as a client that begins now finds them up to the high watermarks of now. */
export async function readAll(
  { client }: SimClient,
  topic: string,
  signal: AbortSignal,
): Promise<ReadonlyMap<number, readonly StoredRecord[]>> {
  const found = new Map<number, StoredRecord[]>();
  const consumer = client.createConsumer({ topic, untilEnd: true, retryTimeoutMs: patienceMs });
  for await (const { partition, records } of consumer.batches(signal)) {
    const known = found.get(partition) ?? [];
    found.set(partition, known);
    known.push(...records);
  }
  return found;
}

function describeError(error: unknown): string {
  if (!(error instanceof TidemarkError)) return String(error);
  return `${reasonName(error.reason)}, ${error.retriable ? "retriable" : "not retriable"}: ${error.message}`;
}
