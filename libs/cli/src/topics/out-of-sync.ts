import { type Client, type PartitionDescription, TidemarkError } from "@tidemark/client";
import type { Session } from "../commands/command.ts";

/** A replica that is not in sync, and how far it is behind. */
export interface OutOfSync {
  readonly broker: number;
  /** For how long it has not been caught up, in milliseconds. Undefined: its leader did not say. */
  readonly lagMs: number | undefined;
  /** Records that it has not flushed yet. Undefined: its leader did not say, or has not heard from it. */
  readonly records: bigint | undefined;
}

/** Partition -> its out-of-sync replicas, in the order of its replicas. */
export type OutOfSyncByPartition = ReadonlyMap<number, readonly OutOfSync[]>;

/** Leaders that are asked at the same time. */
const askedAtOnce = 8;

/**
 * The out-of-sync replicas of a topic's partitions. Only leaders of partitions that have some are asked; one that does
 * not answer leaves the lags out and nothing else.
 */
export async function outOfSyncOf(
  { client, call }: { readonly client: Pick<Client, "log">; readonly call: Session["call"] },
  topic: string,
  partitions: readonly PartitionDescription[],
): Promise<OutOfSyncByPartition> {
  const found = new Map<number, readonly OutOfSync[]>();
  const open = partitions.filter(({ replicas, isr }) => isr.length < replicas.length);
  const askNext = async (): Promise<void> => {
    for (let next = open.shift(); next !== undefined; next = open.shift()) {
      found.set(next.partition, await lagsOf(next));
    }
  };
  const lagsOf = async ({ partition, replicas, isr, leader }: PartitionDescription): Promise<readonly OutOfSync[]> => {
    const behind = replicas.filter((broker) => !isr.includes(broker));
    const told = leader === undefined ? undefined : await ask(partition);
    return behind.map((broker) => {
      const progress = told?.replicas.find((each) => each.broker === broker);
      const flushed = progress?.flushed;
      return {
        broker,
        lagMs: progress === undefined ? undefined : Number(progress.lagMs),
        records: told === undefined || flushed === undefined ? undefined : atLeastNone(told.logEnd - flushed),
      };
    });
  };
  const ask = async (partition: number) => {
    try {
      return await client.log.explainOffset({ topic, partition, offset: 0n }, call);
    } catch (error) {
      if (error instanceof TidemarkError && !call.signal.aborted) return undefined;
      throw error;
    }
  };
  await Promise.all(Array.from({ length: askedAtOnce }, askNext));
  return found;
}

function atLeastNone(count: bigint): bigint {
  return count < 0n ? 0n : count;
}

/** `2 (1200 ms, 45 records)`, joined by commas. */
export function outOfSyncText(replicas: readonly OutOfSync[]): string {
  return replicas
    .map(({ broker, lagMs, records }) => {
      const lags = [lagMs === undefined ? "lag unknown" : `${lagMs} ms`];
      if (records !== undefined) lags.push(`${records} ${records === 1n ? "record" : "records"}`);
      return `${broker} (${lags.join(", ")})`;
    })
    .join(", ");
}
