import { crc32c } from "@tidemark/compression";
import { createMemoryDisk } from "@tidemark/disk";
import { createRaft, type SnapshotChunk, type SnapshotMeta, term } from "@tidemark/raft";
import { createManualTime, createSeededRandom } from "@tidemark/runtime";
import { describe, expect, it, test } from "vitest";
import { openRaftStore } from "../open.ts";
import { createReplica, emptyReplica } from "../replica/replica.ts";
import { encodeContent } from "../replica/snapshot-codec.ts";
import { formatDirectory } from "../storage/format.ts";
import type { RaftStorage } from "../storage/storage.ts";
import { createMemoryNetwork } from "../testing/memory-network.ts";
import { identityOf } from "../testing/raft-cluster.ts";
import { batches, chunk, hardState, ids, ownId, snapshotMeta } from "../testing/storage-fixture.ts";
import { createApplier } from "./applier.ts";
import type { NodeEvent } from "./events.ts";
import { createProposals } from "./proposals.ts";
import { createSnapshots } from "./snapshots.ts";
import { submit } from "./submit.ts";

describe("a log that grows", () => {
  it("is replaced by snapshots again and again, stays small, and is whole after a restart", async () => {
    const time = createManualTime();
    const { directoryId } = identityOf(1);
    const directory = "/data/raft";
    const disk = createMemoryDisk();
    const voters = [{ id: directoryId, address: "1@controller-1.test:4651" }];
    await formatDirectory({ disk, directory, crc32c, identity: { directoryId, clusterId: "c" }, voters });
    const events: NodeEvent[] = [];
    const open = () =>
      openRaftStore({
        disk: disk.attach(),
        directory,
        directoryId,
        clusterId: "c",
        transport: createMemoryNetwork(time.scheduler).transport(directoryId),
        crc32c,
        runtime: { ...time, random: createSeededRandom(1) },
        snapshots: { logBytesMin: 40_000, keepBytes: 10_000 },
        segmentBytes: 8_000,
        onNodeEvent: (event) => events.push(event),
      });
    const store = await open();
    const { signal } = new AbortController();
    let sizeMax = 0;
    for (let n = 0; n < 600; n++) {
      const change = { kind: "put", key: `/test/${n % 10}`, value: new Uint8Array(1_000).fill(n) } as const;
      const request = { guards: [], batches: [[change]] };
      const outcomes: string[] = [];
      submit(store.node, { kind: "request", session: "", request }, signal).then(
        ({ kind }) => outcomes.push(kind),
        (error: unknown) => outcomes.push(String(error)),
      );
      while (outcomes.length === 0) await time.advance(30);
      expect(outcomes).toEqual(["committed"]);
      sizeMax = Math.max(sizeMax, disk.usedBytes());
    }
    expect(events.filter(({ kind }) => kind === "snapshotSaved").length).toBeGreaterThan(3);
    expect(sizeMax).toBeLessThan(120_000);
    disk.kill();
    const again = await open();
    await time.advance(2_000);
    for (let n = 590; n < 600; n++) {
      expect(again.node.replica.get(`/test/${n % 10}`)?.value).toEqual(new Uint8Array(1_000).fill(n));
    }
    await again.close();
  });
});

/** A follower with a snapshot at 5 and entries up to 8, what it saves and sends, and why it failed. */
function underTest(stored: Uint8Array) {
  const time = createManualTime();
  const [leader = ownId, self = ownId] = ids;
  const raft = createRaft({
    id: self,
    start: { hardState: hardState(1), snapshot: snapshotMeta(5, 1, 10), entries: batches(6, 8, 1) },
    timing: { heartbeatTicks: 1, electionTicksMin: 10, drawElectionTicks: () => 10 },
  });
  const applier = createApplier({ replica: createReplica(), proposals: createProposals(), crc32c, onEvent: () => {} });
  for (const entry of batches(1, 5, 1)) applier.apply({ kind: "noop", index: entry.index, term: entry.term });
  const saved: number[] = [];
  const sent: number[] = [];
  const failures: string[] = [];
  const storage: Partial<RaftStorage> = {
    saveSnapshot: async () => {},
    readSnapshot: async (_, { offset, length }) => stored.subarray(offset, offset + length),
    logEntries: () => 3,
    logBytes: () => 300,
  };
  const snapshots = createSnapshots({
    raft,
    storage: storage as RaftStorage,
    replica: createReplica(),
    applier,
    crc32c,
    clock: time.clock,
    policy: { logBytesMin: 0, keepBytes: 0 },
    onEvent: () => {},
    send: ({ offset }) => sent.push(offset),
    onChanged: () => {},
    onSaved: ({ index }) => saved.push(index),
    onFailed: ({ message }) => failures.push(message),
  });
  const piece = (meta: SnapshotMeta, offset: number, length: number): SnapshotChunk => ({
    ...chunk(meta, offset, length),
    from: leader,
    to: self,
    term: term(2),
  });
  return { raft, snapshots, piece, saved, sent, failures };
}

test("41 nothing is made of the old state while the leader's snapshot replaces it", async () => {
  const { raft, snapshots, piece, saved, failures } = underTest(new Uint8Array());
  raft.step(piece(snapshotMeta(9, 2, 4), 0, 4));
  await snapshots.make(0);
  expect(saved).toEqual([]);
  expect(failures).toEqual([]);
  await snapshots.stop();
});

test.each([
  ["is sent", -1, [0, 40]],
  ["that does not read back as it was written is sent to nobody, and fails the node", 30, []],
] as const)("a snapshot %s", async (_, damagedByte, expected) => {
  const stored = encodeContent({ ...emptyReplica, sessions: new Map([["session", ownId]]) }, crc32c);
  if (damagedByte >= 0) stored[damagedByte] = (stored[damagedByte] ?? 0) ^ 1;
  const { snapshots, piece, sent, failures } = underTest(stored);
  for (const offset of [0, 40]) {
    if (failures.length > 0) break;
    const { data, ...header } = piece(snapshotMeta(5, 1, stored.length), offset, 40);
    snapshots.sendPiece({ header, lengthBytes: data.length });
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  }
  expect(sent).toEqual(expected);
  expect(failures.length).toBe(damagedByte < 0 ? 0 : 1);
  await snapshots.stop();
});
