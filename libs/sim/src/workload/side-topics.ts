import type { Violations } from "../checks/violations.ts";

/**
 * Topics beside the one that the workload is about. Each kind has its own settings, and its own promise:
 *
 * | kind      | settings                           | promise at the end                                               |
 * |-----------|------------------------------------|------------------------------------------------------------------|
 * | plain     | small segments                     | what was acknowledged above the last `deleteRecords` is there    |
 * | compacted | compaction all the time            | the last acknowledged value of each key, or a later one, is there |
 * | expiring  | retention of seconds and kilobytes | what is there is what was acknowledged                           |
 * | both      | compaction, and retention          | what is there is what was acknowledged                           |
 * | unclean   | min ISR 1, unclean elections       | none of a record: it converges, and each election has its receipt |
 * | loose     | the same, with compaction          | the same                                                         |
 * | unflushed | flushes are left to the system; unclean elections, since nobody is eligible after a power cut | the same (P2, D8) |
 */
export type SideKind = "plain" | "compacted" | "expiring" | "both" | "unclean" | "loose" | "unflushed";

export const sideKinds: readonly SideKind[] = [
  "plain",
  "compacted",
  "expiring",
  "both",
  "unclean",
  "loose",
  "unflushed",
];

/** Whether nothing is promised of its records. */
export function mayBeGone(kind: SideKind): boolean {
  return kind === "unclean" || kind === "loose" || kind === "unflushed";
}

/** Whether its records need keys. */
export function isKeyed(kind: SideKind): boolean {
  return kind === "compacted" || kind === "both" || kind === "loose";
}

const compaction = {
  "segment.bytes": "16384",
  "segment.ms": "2000",
  "min.cleanable.dirty.ratio": "0.01",
  "delete.retention.ms": "1000",
} as const;

/** What a topic of each kind is made with. */
export const sideSettings: Readonly<Record<SideKind, Readonly<Record<string, string>>>> = {
  plain: { "segment.bytes": "16384" },
  compacted: { "cleanup.policy": "compact", ...compaction },
  expiring: {
    "retention.ms": "8000",
    "retention.bytes": "20000",
    "segment.bytes": "16384",
    "segment.ms": "1000",
    "message.timestamp.type": "LogAppendTime",
  },
  both: { "cleanup.policy": "compact,delete", "retention.ms": "20000", "min.compaction.lag.ms": "500", ...compaction },
  loose: {
    "cleanup.policy": "compact",
    "unclean.leader.election.enable": "true",
    "min.insync.replicas": "1",
    ...compaction,
  },
  // Where all lose their power at once nobody is eligible any more (D8): without unclean elections nobody would lead.
  unflushed: { flush: "async", "segment.bytes": "16384", "unclean.leader.election.enable": "true" },
  unclean: { "unclean.leader.election.enable": "true", "min.insync.replicas": "1" },
};

export interface SideTopic {
  readonly name: string;
  readonly topicId: string;
  readonly kind: SideKind;
  partitions: number;
}

/** A record as it stands in a side topic. */
export interface SideRecord {
  readonly offset: bigint;
  readonly key: string | undefined;
  readonly value: string;
}

interface SidePartition {
  /** By offset: what was acknowledged. */
  readonly acknowledged: Map<bigint, { readonly key: string | undefined; readonly value: string }>;
  /** Records below may have been deleted by command. */
  deletedBelow: bigint;
}

/** What was done to the side topics that are there, and what follows from it. */
export interface SideTopics {
  readonly all: readonly SideTopic[];
  add(topic: SideTopic): void;
  /** It may be gone, or a command to delete it may still be on its way. */
  forget(topic: SideTopic): void;
  acknowledged(topic: SideTopic, partition: number, record: SideRecord): void;
  /** A command to delete below `offset` was given. */
  deleting(topic: SideTopic, partition: number, offset: bigint): void;
  /** `read` is every record that is there at the end. */
  checkFinal(topic: SideTopic, partition: number, read: readonly SideRecord[]): void;
}

export function createSideTopics({ report }: Violations): SideTopics {
  const topics = new Map<string, SideTopic>();
  const partitions = new Map<string, SidePartition>();
  const partitionOf = ({ topicId }: SideTopic, index: number): SidePartition => {
    const key = `${topicId}-${index}`;
    const known = partitions.get(key) ?? { acknowledged: new Map(), deletedBelow: 0n };
    partitions.set(key, known);
    return known;
  };

  return {
    get all() {
      return [...topics.values()];
    },
    add: (topic) => topics.set(topic.name, topic),
    forget: (topic) => topics.delete(topic.name),
    acknowledged(topic, partition, { offset, key, value }) {
      const { acknowledged } = partitionOf(topic, partition);
      const before = acknowledged.get(offset);
      acknowledged.set(offset, { key, value });
      if (before === undefined || before.value === value || mayBeGone(topic.kind)) return;
      report("an offset names two records", `${topic.name}-${partition} offset ${offset}: ${before.value}, ${value}`);
    },
    deleting(topic, partition, offset) {
      const known = partitionOf(topic, partition);
      if (offset > known.deletedBelow) known.deletedBelow = offset;
    },
    checkFinal(topic, partition, read) {
      if (mayBeGone(topic.kind)) return;
      const where = `${topic.name}-${partition}`;
      const known = partitionOf(topic, partition);
      const found = new Map(read.map((record) => [record.offset, record]));
      for (const [offset, { value }] of known.acknowledged) {
        const there = found.get(offset);
        if (there !== undefined && there.value !== value) {
          report(
            "an offset names two records",
            `${where} offset ${offset}: ${value} was acknowledged, ${there.value} is there`,
          );
        }
        if (there === undefined && topic.kind === "plain" && offset >= known.deletedBelow) {
          report("an acknowledged record was lost", `${where} offset ${offset}: ${value}`);
        }
      }
      if (topic.kind === "compacted") checkKeys(where, known, read, report);
    },
  };
}

/** Compaction keeps the last value of each key (L7). */
function checkKeys(
  where: string,
  { acknowledged, deletedBelow }: SidePartition,
  read: readonly SideRecord[],
  report: Violations["report"],
): void {
  const newest = new Map<string, bigint>();
  for (const { key, offset } of read)
    if (key !== undefined && offset >= (newest.get(key) ?? -1n)) newest.set(key, offset);
  for (const [offset, { key, value }] of acknowledged) {
    if (key === undefined || offset < deletedBelow || (newest.get(key) ?? -1n) >= offset) continue;
    report("compaction took the last value of a key", `${where} key ${key} offset ${offset}: ${value}`);
  }
}
