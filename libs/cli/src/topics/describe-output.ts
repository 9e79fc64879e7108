import type { PartitionDescription, TopicDescription } from "@tidemark/client";
import type { Io } from "../io.ts";
import { print, printTable } from "../output.ts";
import { type OutOfSync, type OutOfSyncByPartition, outOfSyncText } from "./out-of-sync.ts";

/** A topic with those of its partitions that are to be shown. */
export interface DescribedTopic {
  readonly topic: TopicDescription;
  readonly partitions: readonly PartitionDescription[];
  /** What was asked of the leaders. Absent: nothing. */
  readonly outOfSync?: OutOfSyncByPartition;
}

/** A topic for programs. */
export function topicJson({ topic, partitions, outOfSync }: DescribedTopic) {
  const { name, topicId, replicationFactor, settings } = topic;
  return {
    name,
    topicId,
    replicationFactor,
    configs: settings,
    partitions: partitions.map((each) => ({
      partition: each.partition,
      leader: each.leader ?? null,
      replicas: each.replicas,
      isr: each.isr,
      osr: osrOf(each, outOfSync).map(({ broker, lagMs = null, records = null }) => ({
        broker,
        lagMs,
        records,
      })),
      elr: each.elr,
      offline: each.offline,
      notServed: each.notServed,
      leaderEpoch: each.leaderEpoch,
      partitionEpoch: each.partitionEpoch,
      minIsr: each.minIsr,
      recovering: each.recovering,
      damaged: each.damaged,
      regressedFrom: each.regressedFrom ?? null,
    })),
  };
}

/** With the columns that people know from Kafka. */
export function printTopic(io: Io, described: DescribedTopic): void {
  const { name, topicId, partitions, replicationFactor, settings } = described.topic;
  const configs = Object.entries(settings).map(([key, value]) => `${key}=${value}`);
  print(
    io,
    `Topic: ${name}  TopicId: ${topicId}  PartitionCount: ${partitions.length}  ReplicationFactor: ${replicationFactor}  Configs: ${configs.join(",")}`,
  );
  printTable(
    io,
    columns,
    described.partitions.map((partition) => row(partition, osrOf(partition, described.outOfSync))),
  );
}

/** Partitions of several topics, those that a filter left. */
export function printPartitions(io: Io, topics: readonly DescribedTopic[]): void {
  printTable(
    io,
    ["Topic", ...columns],
    topics.flatMap(({ topic, partitions, outOfSync }) =>
      partitions.map((partition) => [topic.name, ...row(partition, osrOf(partition, outOfSync))]),
    ),
  );
}

const columns = ["Partition", "Leader", "Replicas", "Isr", "Osr", "Elr", "Offline"] as const;

function row(
  { partition, leader, replicas, isr, elr, offline, damaged, notServed, regressedFrom }: PartitionDescription,
  osr: readonly OutOfSync[],
): readonly (string | number)[] {
  const [shownReplicas = "", shownIsr = "", shownElr = ""] = [replicas, isr, elr].map((brokers) => brokers.join(","));
  const whyOf = (broker: number) => {
    if (damaged.includes(broker)) return `${broker} (damaged)`;
    return notServed.includes(broker) ? `${broker} (not served)` : String(broker);
  };
  const shownOffline = offline.map(whyOf).join(", ");
  const shownLeader = leader ?? (regressedFrom === undefined ? "none" : "none (regressed)");
  return [partition, shownLeader, shownReplicas, shownIsr, outOfSyncText(osr), shownElr, shownOffline];
}

function osrOf(
  { partition, replicas, isr }: PartitionDescription,
  told: OutOfSyncByPartition | undefined,
): readonly OutOfSync[] {
  const known = told?.get(partition);
  if (known !== undefined) return known;
  const behind = replicas.filter((broker) => !isr.includes(broker));
  return behind.map((broker) => ({ broker, lagMs: undefined, records: undefined }));
}
