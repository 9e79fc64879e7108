import { createMemoryDisk, type MemoryDisk } from "@tidemark/disk";
import { leaderEpoch, offset } from "@tidemark/ids";
import { applyChanges, emptyImage, type MetadataChange } from "@tidemark/metadata";
import { encodeBatch, portableCrc32c, stampBatch } from "@tidemark/record";
import type { PartitionView } from "@tidemark/replication";
import { expect, test } from "vitest";
import type { SimCluster } from "../cluster/cluster.ts";
import { findDifference, reportLosses } from "./final-disks.ts";
import { createLedger } from "./ledger.ts";
import { createViolations } from "./violations.ts";

const topicId = "00000000-0000-4000-8000-000000000001";
const directory = `/data/log-1/${topicId}-0`;

/** A topic with one partition of two replicas, led by broker 1, both in sync. */
function imageOf() {
  const topic = { name: "events", topicId, partitions: 1, replicationFactor: 2, settings: new Map() };
  const replicas = [1, 2].map((brokerId) => ({ brokerId, directoryId: undefined }));
  const value = { topicId, partition: 0, replicas, isr: [1, 2], elr: [], leader: 1, leaderEpoch: 0, partitionEpoch: 0 };
  const changes = [
    { kind: "topic", name: "events", value: topic },
    { kind: "partition", topicId, partition: 0, value },
  ] as unknown as readonly MetadataChange[];
  return applyChanges(emptyImage, changes).image;
}

/** A batch of one record for each value, from offset 0 on. */
async function diskWith(...values: readonly string[]): Promise<MemoryDisk> {
  const disk = createMemoryDisk();
  for (const path of ["/data", "/data/log-1", directory]) await disk.makeDirectory(path);
  const batches = values.map((value, at) => {
    const record = { timestamp: 0n, key: null, value: Buffer.from(value), headers: [] };
    const bytes = encodeBatch([record], { crc32c: portableCrc32c });
    stampBatch(bytes, 0, { baseOffset: offset(BigInt(at)), leaderEpoch: leaderEpoch(0) });
    return bytes;
  });
  disk.put(`${directory}/${"0".padStart(20, "0")}.log`, Buffer.concat(batches));
  return disk;
}

/** `harmed`: brokers on whose disks a bit has changed. */
function lookedAt(disks: readonly MemoryDisk[], harmed: readonly number[] = []) {
  const brokers = disks.map((memory, at) => ({
    identity: { id: at + 1 },
    process: { name: `broker-${at + 1}#1` },
    device: { memory, hasDamage: () => harmed.includes(at + 1) },
  }));
  return { image: imageOf(), cluster: { brokers } as unknown as Pick<SimCluster, "brokers">, codecs: {} };
}

/** Both know that two records are committed. */
const replicas = {
  viewOf: (process: string) =>
    ({
      logStart: 0n,
      highWatermark: 2n,
      leadership: process === "broker-1#1" ? {} : undefined,
    }) as unknown as PartitionView,
};

test("in-sync replicas that hold the same below the high watermark are the same", async () => {
  const disks = [await diskWith("a", "b", "only here"), await diskWith("a", "b")];
  expect(await findDifference(lookedAt(disks), replicas)).toBeUndefined();
});

test("an in-sync replica with another record below the high watermark is found", async () => {
  const disks = [await diskWith("a", "b"), await diskWith("a", "x")];
  expect(await findDifference(lookedAt(disks), replicas)).toContain("events-0: brokers 1 and 2 differ");
});

test("what rots on a disk unread is not held against the replicas", async () => {
  const disks = [await diskWith("a", "b"), await diskWith("a", "x")];
  expect(await findDifference(lookedAt(disks, [2]), replicas)).toBeUndefined();
});

test("what was acknowledged and is on no disk is a loss, and what one disk has is none", async () => {
  const violations = createViolations({ nowMs: 0 });
  const ledger = createLedger(violations);
  const acknowledge = (id: string, at: bigint) => {
    const value = Buffer.from(`${id}|`);
    const of = { producer: "p", isIdempotent: false, topic: "events", partition: 0, sequence: Number(at) };
    ledger.settled(ledger.send({ id, value, ...of }), "acknowledged", at);
  };
  const looked = lookedAt([await diskWith("first|"), await diskWith()]);
  acknowledge("first", 0n);
  await reportLosses(looked, "events", ledger);
  expect(violations.found).toEqual([]);
  acknowledge("second", 1n);
  await reportLosses(looked, "events", ledger);
  expect(violations.found.map(({ rule }) => rule)).toEqual(["an acknowledged record was lost"]);
});
