/** What a broker counts for whoever reads its metrics. No label grows with topics, partitions or clients. */
import type { FetchedPartition } from "@tidemark/proto/log/v1";
import { iterateBatches } from "@tidemark/record";
import type { Acks, PartitionView } from "@tidemark/replication";
import { type Metrics, metricNames, type TraceContext } from "@tidemark/telemetry";
import type { CheckedBatches, Partition, ProduceOutcome } from "../partition/partition.ts";

export interface BrokerMetrics {
  /** A produce was answered, `ms` after it came. */
  produced(produce: {
    readonly batches: CheckedBatches;
    readonly acks: Acks;
    readonly outcome: ProduceOutcome;
    readonly ms: number;
    /** Undefined where the produce is not recorded. */
    readonly trace: TraceContext | undefined;
  }): void;
  /** A fetch was answered, or a message of a subscription made, `ms` after it was asked for. */
  fetched(fetch: {
    readonly partitions: readonly Pick<FetchedPartition, "batches" | "records">[];
    /** Of the batches that were read for it, of which an answer in records may hold a part. */
    readonly bytes: number;
    readonly ms: number;
    /** Undefined where the fetch is not recorded. */
    readonly trace: TraceContext | undefined;
  }): void;
  /** What was written is on stable storage, `ms` after that was asked for. */
  readonly flushed: (ms: number) => void;
}

/** `led`: the partitions that this broker leads when somebody reads. */
export function createBrokerMetrics(
  metrics: Metrics,
  led: () => readonly Pick<Partition, "view">[],
): BrokerMetrics & { stop(): void } {
  const count = { producedRecords: 0, producedBytes: 0, fetchedRecords: 0, fetchedBytes: 0 };
  const stops = [
    metrics.observeCounter(
      { name: metricNames.producedRecords, description: "Records that were produced and acknowledged." },
      (report) => report(count.producedRecords),
    ),
    metrics.observeCounter(
      { name: metricNames.producedBytes, description: "Bytes of the batches that were produced and acknowledged." },
      (report) => report(count.producedBytes),
    ),
    metrics.observeCounter(
      { name: metricNames.fetchedRecords, description: "Records that were handed out to consumers." },
      (report) => report(count.fetchedRecords),
    ),
    metrics.observeCounter(
      { name: metricNames.fetchedBytes, description: "Bytes of the batches that were read for consumers." },
      (report) => report(count.fetchedBytes),
    ),
    metrics.observeGauge(
      {
        name: metricNames.highWatermarkLag,
        description: "Records of the partitions led here that a follower has not flushed: of the one that lacks most.",
      },
      (report) => {
        for (const [follower, records] of lagByFollower(led())) report(records, { follower });
      },
    ),
  ];
  const produceTimes = metrics.histogram({
    name: metricNames.produceDuration,
    description: "From the arrival of a produce to its answer, by acks and outcome.",
  });
  const fetchTimes = metrics.histogram({
    name: metricNames.fetchDuration,
    description: "From the arrival of a fetch to its answer, with what it waited for new records.",
  });
  const flushTimes = metrics.histogram({
    name: metricNames.flushDuration,
    description: "Until what was written was on stable storage.",
  });
  return {
    produced({ batches, acks, outcome, ms, trace }) {
      produceTimes.record(ms / 1000, { acks, outcome: outcome.kind }, trace);
      if (outcome.kind !== "acknowledged") return;
      count.producedRecords += batches.records;
      count.producedBytes += batches.bytes.length;
    },
    fetched({ partitions, bytes, ms, trace }) {
      fetchTimes.record(ms / 1000, undefined, trace);
      count.fetchedBytes += bytes;
      for (const { batches, records } of partitions) count.fetchedRecords += records.length + recordsIn(batches);
    },
    flushed(ms) {
      flushTimes.record(ms / 1000);
    },
    stop() {
      for (const stop of stops) stop();
    },
  };
}

function recordsIn(bytes: Uint8Array): number {
  let records = 0;
  for (const step of iterateBatches(bytes)) {
    if (step.kind !== "ok") break;
    records += step.header.recordCount;
  }
  return records;
}

/** How many records each follower lacks in the partition where it lacks most. What is not known counts as everything. */
function lagByFollower(led: readonly Pick<Partition, "view">[]): ReadonlyMap<number, number> {
  const most = new Map<number, number>();
  for (const view of led.map((partition) => partition.view())) {
    for (const [follower, records] of lagsIn(view)) most.set(follower, Math.max(most.get(follower) ?? 0, records));
  }
  return most;
}

function lagsIn({ self, leadership, logStart, logEnd }: PartitionView): readonly (readonly [number, number])[] {
  const followers = leadership?.replicas.filter(({ replica }) => replica !== self) ?? [];
  return followers.map(({ replica, flushed }) => [replica, Math.max(0, Number(logEnd - (flushed ?? logStart)))]);
}
