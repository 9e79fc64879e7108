import {
  createFaultDisk,
  createMemoryDisk,
  dropAll,
  type FaultPlan,
  keepAll,
  type MemoryDisk,
  type PowerLoss,
} from "@tidemark/disk";
import { createRaft, logIndex, type StartState, type Write } from "@tidemark/raft";
import { createSeededRandom } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import {
  batch,
  batches,
  chunk,
  format,
  hardState,
  open,
  ownId,
  runtime,
  snapshotMeta,
  write,
} from "../testing/storage-fixture.ts";
import { allStorageGuards, type StorageGuards } from "./storage.ts";

/** What was acknowledged by some moment. */
interface Acknowledged {
  term: number;
  vote: string | undefined;
  snapshot: number;
  readonly entries: Map<number, number>;
}

/** What a power cut at one moment would leave. */
interface Moment {
  readonly disks: readonly MemoryDisk[];
  readonly acknowledged: Acknowledged;
}

/** Some of the sectors of every unflushed write, and some of the other operations. */
function torn(seed: number): PowerLoss {
  const random = createSeededRandom(seed);
  return ({ operation }) => {
    if (operation.kind !== "write") return { kind: random.next() < 0.5 ? "kept" : "dropped" };
    return { kind: "torn", reached: () => random.next() < 0.5 };
  };
}

const large = snapshotMeta(60, 5, 3000);

interface Workload {
  readonly segmentBytes: number;
  /** "idle": nothing else waits to be written. */
  readonly steps: readonly (Partial<Write> | "snapshot" | "idle")[];
}

/** Entries in place of others of the same size, so that a frame of the old ones may stand right behind a new one. */
const conflicts: Workload = {
  segmentBytes: 100_000,
  steps: [2, 3, 4].map((ofTerm) => ({
    hardState: hardState(ofTerm),
    entries: batches(ofTerm === 2 ? 2 : ofTerm * 3, 40, ofTerm),
  })),
};

/** Votes, appends, conflicts, a compaction and a snapshot in pieces: all that a node writes. */
const everything: readonly (Partial<Write> | "snapshot")[] = [
  { hardState: hardState(2, 1) },
  { entries: batches(2, 6, 2) },
  { entries: batches(7, 12, 2) },
  { hardState: hardState(3, 2), entries: batches(10, 14, 3) },
  { entries: batches(15, 30, 3) },
  { hardState: hardState(4), entries: batches(16, 40, 4) },
  "snapshot",
  { compactThrough: logIndex(20), entries: batches(41, 44, 4) },
  { hardState: hardState(5, 3) },
  { snapshotChunks: [chunk(large, 0, 1000)] },
  { snapshotChunks: [chunk(large, 1000, 1000)], mustFlush: false },
  { snapshotChunks: [chunk(large, 2000, 1000)] },
  { entries: batches(61, 70, 5) },
];

async function momentsOf(guards: StorageGuards, { segmentBytes, steps }: Workload): Promise<readonly Moment[]> {
  const moments: Moment[] = [];
  const acknowledged: Acknowledged = { term: 1, vote: undefined, snapshot: 1, entries: new Map() };
  let watching = false;
  const disk = createMemoryDisk({
    onChange() {
      if (!watching) return;
      const losses = [dropAll, keepAll, torn(moments.length), torn(moments.length + 10_000)];
      moments.push({
        disks: losses.map((loss) => disk.fork(loss)),
        acknowledged: { ...acknowledged, entries: new Map(acknowledged.entries) },
      });
    },
  });
  await format(disk);
  const { storage } = await open(disk, { segmentBytes, guards });
  watching = true;
  for (const step of steps) {
    if (step === "idle") {
      await storage.idle();
      continue;
    }
    if (step === "snapshot") {
      await storage.saveSnapshot({ meta: snapshotMeta(20, 4, 900), state: new Uint8Array(900).fill(20) });
      acknowledged.snapshot = 20;
      continue;
    }
    const made = write(step);
    begin(acknowledged, made);
    await storage.write([made]);
    end(acknowledged, made);
  }
  await storage.close();
  return moments;
}

/** What a write replaces may be gone from its beginning on. */
function begin({ entries }: Acknowledged, { entries: written, snapshotChunks }: Write): void {
  const from = snapshotChunks.length > 0 ? 0 : (written[0]?.index ?? Number.POSITIVE_INFINITY);
  for (const index of [...entries.keys()]) if (index >= from) entries.delete(index);
}

function end(acknowledged: Acknowledged, { hardState: state, entries, snapshotChunks }: Write): void {
  if (state !== undefined) {
    acknowledged.term = state.term;
    acknowledged.vote = state.votedFor;
  }
  for (const { snapshot, offset, data } of snapshotChunks) {
    if (offset + data.length === snapshot.sizeBytes) acknowledged.snapshot = snapshot.index;
  }
  for (const { index, term } of entries) acknowledged.entries.set(index, term);
}

async function restart(disk: MemoryDisk): Promise<StartState | string> {
  try {
    const { storage, start } = await open(disk);
    await storage.close();
    const timing = { heartbeatTicks: 1, electionTicksMin: 5, drawElectionTicks: () => 5 };
    createRaft({ id: ownId, start, timing });
    return start;
  } catch (error) {
    return String(error);
  }
}

function lossesOf(start: StartState, acknowledged: Acknowledged): readonly string[] {
  const lost: string[] = [];
  const { hardState: found, snapshot } = start;
  if (found.term < acknowledged.term) lost.push(`term ${acknowledged.term} is forgotten`);
  if (found.term === acknowledged.term && found.votedFor !== acknowledged.vote) lost.push("a vote is forgotten");
  if (snapshot.index < acknowledged.snapshot) lost.push(`the snapshot at ${acknowledged.snapshot} is lost`);
  const terms = new Map(start.entries.map(({ index, term }) => [Number(index), Number(term)]));
  for (const [index, term] of acknowledged.entries) {
    if (index > snapshot.index && terms.get(index) !== term) lost.push(`entry ${index} is lost`);
  }
  return lost;
}

async function faultsOf(
  guards: StorageGuards,
  workload: Workload = { segmentBytes: 700, steps: everything },
): Promise<{ readonly cuts: number; readonly faults: readonly string[] }> {
  const faults: string[] = [];
  let cuts = 0;
  for (const [at, { disks, acknowledged }] of (await momentsOf(guards, workload)).entries()) {
    for (const disk of disks) {
      cuts += 1;
      const start = await restart(disk);
      const found = typeof start === "string" ? [start] : lossesOf(start, acknowledged);
      for (const fault of found) faults.push(`after change ${at}: ${fault}`);
    }
  }
  return { cuts, faults };
}

describe("what a start finds that a kill left unflushed", () => {
  it("is on stable storage before anybody is told of it", async () => {
    const disk = createMemoryDisk();
    await format(disk);
    const careless = { flushHardState: false, flushEntries: false };
    const { storage } = await open(disk, { guards: careless });
    await storage.write([write({ hardState: hardState(2, 3), entries: batches(2, 6, 2) })]);
    disk.kill();
    const second = await open(disk);
    expect(second.start.entries).toHaveLength(5);
    disk.powerCut();
    const third = await open(disk);
    expect(third.start.entries).toEqual(second.start.entries);
    expect(third.start.hardState).toEqual(hardState(2, 3));
    await third.storage.close();
  });
});

describe("a flush that failed", () => {
  it("took a mark with it, which is written anew like the entries behind it", async () => {
    const disk = createMemoryDisk();
    await format(disk);
    const failing = { isOn: false };
    const plan: FaultPlan = ({ kind }) => (failing.isOn && kind === "sync" ? { kind: "fail", code: "IO" } : undefined);
    const first = await open(createFaultDisk(disk, { plan, scheduler: runtime.scheduler }));
    await first.storage.write([write({ entries: batches(2, 4, 1) })]);
    await first.storage.idle();
    failing.isOn = true;
    await expect(first.storage.write([write({ entries: batches(5, 5, 1) })])).rejects.toMatchObject({ code: "IO" });
    disk.kill();
    const second = await open(disk);
    await second.storage.write([write({ entries: batches(6, 7, 1) })]);
    disk.powerCut();
    const third = await open(disk);
    expect(third.start.entries.map(({ index }) => index)).toEqual([2, 3, 4, 5, 6, 7]);
    await third.storage.close();
  });
});

/** What simulated seed 900304 found: a power cut later made the member unusable. */
describe("a flush of a new segment that failed", () => {
  it("took its header with it, which is written anew before entries are put behind it", async () => {
    const disk = createMemoryDisk();
    await format(disk);
    const failing = { isOn: false };
    const synced = new Set<string>();
    const plan: FaultPlan = ({ kind, path }) => {
      if (kind !== "sync") return undefined;
      if (failing.isOn && !synced.has(path)) return { kind: "fail", code: "IO" };
      synced.add(path);
      return undefined;
    };
    const segmentBytes = 400;
    const first = await open(createFaultDisk(disk, { plan, scheduler: runtime.scheduler }), { segmentBytes });
    await first.storage.write([write({ entries: [batch(2, 1, 413)] })]);
    await first.storage.idle();
    failing.isOn = true;
    await expect(first.storage.write([write({ entries: [batch(3, 1, 10)] })])).rejects.toMatchObject({ code: "IO" });
    disk.kill();
    const second = await open(disk, { segmentBytes });
    await second.storage.write([write({ entries: [batch(3, 2, 10)] })]);
    disk.powerCut();
    const third = await open(disk, { segmentBytes });
    expect(third.start.entries.map(({ index }) => index)).toEqual([2, 3]);
    await third.storage.close();
  });
});

describe("35 a power cut at any moment", () => {
  it("forgets no vote and no flushed entry, and never keeps the node from starting", async () => {
    const { cuts, faults } = await faultsOf(allStorageGuards);
    expect(faults).toEqual([]);
    expect(cuts).toBeGreaterThan(250);
  });

  it("leaves nothing of a conflict behind what took its place", async () => {
    const { cuts, faults } = await faultsOf(allStorageGuards, conflicts);
    expect(faults).toEqual([]);
    expect(cuts).toBeGreaterThan(50);
  });

  it("takes no torn mark for damage, though another segment was begun behind it", async () => {
    // Each entry fills a segment up to byte 486, so that the mark behind it lies in two sectors.
    const written = [2, 3, 4, 5, 6].map((index) => ({ entries: [batch(index, 1, 413)] }));
    const steps = written.flatMap((step) => [step, "idle" as const]);
    expect((await faultsOf(allStorageGuards, { segmentBytes: 400, steps })).faults).toEqual([]);
  });

  it.each(["flushHardState", "flushEntries"] as const)("is found out without %s", async (guard) => {
    const { faults } = await faultsOf({ ...allStorageGuards, [guard]: false });
    expect(faults).not.toEqual([]);
  });
});
