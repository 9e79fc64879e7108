import {
  createFaultDisk,
  createMemoryDisk,
  type DiskOperation,
  type Effect,
  limitedSpace,
  scriptedFaults,
} from "@tidemark/disk";
import { createManualTime, createNodeRuntime, createSeededRandom } from "@tidemark/runtime";
import { describe, expect, it, test } from "vitest";
import type { ConsensusEvent } from "../events.ts";
import { allGuards } from "./guards.ts";
import { identity, openOn, path, put, startController } from "./testing.ts";

const { scheduler } = createNodeRuntime();
const full: Effect = { kind: "fail", code: "NO_SPACE" };
const broken: Effect = { kind: "fail", code: "IO" };

function faultyDisk() {
  const memory = createMemoryDisk();
  return { memory, disk: createFaultDisk(memory, { scheduler }) };
}

const kinds = (events: readonly ConsensusEvent[]) => events.map(({ kind }) => kind);

describe("a flush that fails", () => {
  it("leaves its batch unknown, and the store refuses everything from then on", async () => {
    const { disk } = faultyDisk();
    const controller = await startController(disk);
    const beliefs: string[] = [];
    const listening = (async () => {
      for await (const belief of controller.consensus.leadership()) beliefs.push(belief.kind);
    })().catch((error: unknown) => error);
    const watching = (async () => {
      for await (const event of controller.consensus.watch(new AbortController().signal))
        if (event.revision < 0n) break;
    })().catch((error: unknown) => error);
    disk.plan(scriptedFaults([{ kind: "sync", effect: broken }]));
    const [first, second] = await Promise.all([controller.append("/test/a", "1"), controller.append("/test/b", "1")]);
    expect(first).toMatchObject({ kind: "unknown" });
    expect(second).toMatchObject({ kind: "refused", reason: "FAILED" });
    expect(await controller.append("/test/c", "1")).toMatchObject({ kind: "refused", reason: "FAILED" });
    expect(await listening).toMatchObject({ code: "FAILED" });
    expect(beliefs.at(-1)).toBe("none");
    expect(await watching).toMatchObject({ code: "FAILED" });
    await expect(controller.consensus.sync(new AbortController().signal)).rejects.toMatchObject({ code: "FAILED" });
    await expect(controller.consensus.describeMembers()).rejects.toMatchObject({ code: "FAILED" });
    expect(kinds(controller.events)).toContain("storageFailed");
    const late = controller.store.candidate();
    await expect(late.sync(new AbortController().signal)).rejects.toMatchObject({ code: "FAILED" });
    await late.close();
    await controller.close();
  });

  it("is not mended by the next one: what a restart shows is there after a power cut", async () => {
    const shownThenLost = async (guards = allGuards) => {
      const { memory, disk } = faultyDisk();
      // A file that was renamed while it was open keeps its first name to the disk of faults: open it anew.
      await (await startController(disk)).close();
      const first = await startController(disk);
      await first.append("/test/before", "1");
      disk.plan(scriptedFaults([{ kind: "sync", effect: broken }]));
      expect((await first.append("/test/unknown", "1")).kind).toBe("unknown");
      memory.kill();
      const second = await startController(memory, { guards });
      const shown = await second.tree();
      expect(shown.has("/test/before")).toBe(true);
      await second.append("/test/after", "1");
      memory.powerCut();
      const found = await startController(memory).then(
        (third) => third.tree(),
        (error: unknown) => String(error),
      );
      if (typeof found === "string") return found;
      return (
        found.has("/test/before") &&
        found.has("/test/after") &&
        found.has("/test/unknown") === shown.has("/test/unknown")
      );
    };
    expect(await shownThenLost()).toBe(true);
    expect(await shownThenLost({ ...allGuards, flushWhenOpened: false })).toMatch(/DAMAGED/);
  });

  test.each([
    ["hangs", { kind: "hang", ms: 1 } as const],
    ["finds the disk full", full],
  ])("because it %s is as bad", async (_, effect) => {
    const { disk } = faultyDisk();
    const controller = await startController(disk);
    disk.plan(scriptedFaults([{ kind: "sync", effect }]));
    expect(await controller.append("/test/a", "1")).toMatchObject({ kind: "unknown" });
    expect(await controller.append("/test/b", "1")).toMatchObject({ kind: "refused", reason: "FAILED" });
    await controller.close();
  });
});

describe("a full disk", () => {
  it("34 refuses what finds no room, keeps the leader, and goes on when there is room again", async () => {
    const { memory, disk } = faultyDisk();
    const controller = await startController(disk);
    const before = memory.peek(path)?.length;
    disk.plan(
      scriptedFaults([{ kind: "write", path, times: 3, effect: { kind: "short", bytes: 40, code: "NO_SPACE" } }]),
    );
    for (let n = 0; n < 3; n++) {
      expect(await controller.append("/test/refused", "1")).toMatchObject({ kind: "refused", reason: "NO_SPACE" });
      expect(memory.peek(path)?.length).toBe(before);
    }
    expect(await controller.append("/test/taken", "1")).toMatchObject({ kind: "committed" });
    expect(kinds(controller.events)).toContain("spaceExhausted");
    memory.powerCut();
    const again = await startController(memory);
    const tree = await again.tree();
    expect([tree.has("/test/refused"), tree.has("/test/taken")]).toEqual([false, true]);
    await again.close();
  });

  it("leaves nothing of a refused batch behind that a restart could find", async () => {
    const found = async (guards = allGuards) => {
      const { memory, disk } = faultyDisk();
      const controller = await startController(disk, { guards });
      // The whole frame reaches the file before the disk says that it is full.
      disk.plan(scriptedFaults([{ kind: "write", path, effect: { kind: "short", bytes: 10_000, code: "NO_SPACE" } }]));
      expect(await controller.append("/test/refused", "1")).toMatchObject({ kind: "refused", reason: "NO_SPACE" });
      memory.kill();
      return (await (await startController(memory)).tree()).has("/test/refused");
    };
    expect(await found()).toBe(false);
    expect(await found({ ...allGuards, cutBackWhenFull: false })).toBe(true);
  });

  it("that does not even let the cut be flushed fails the store", async () => {
    const { disk } = faultyDisk();
    const controller = await startController(disk);
    disk.plan(
      scriptedFaults([
        { kind: "write", effect: full },
        { kind: "sync", effect: broken },
      ]),
    );
    expect(await controller.append("/test/a", "1")).toMatchObject({ kind: "unknown" });
    expect(await controller.append("/test/b", "1")).toMatchObject({ kind: "refused", reason: "FAILED" });
    await controller.close();
  });

  it("at the join is said by type, and the join may be tried again", async () => {
    const { disk } = faultyDisk();
    const store = await openOn(disk);
    const consensus = store.candidate();
    await consensus.sync(new AbortController().signal);
    disk.plan(scriptedFaults([{ kind: "write", path, effect: full }]));
    await expect(consensus.join(identity(1))).rejects.toMatchObject({ code: "NO_SPACE" });
    await consensus.join(identity(1));
    await consensus.close();
    await store.close();
  });

  it("at the claim is tried again after a while", async () => {
    const { disk } = faultyDisk();
    const time = createManualTime();
    const guards = { ...allGuards, markWhenIdle: false };
    const store = await openOn(disk, { guards, runtime: { ...time, random: createSeededRandom(1) } });
    const consensus = store.candidate();
    const beliefs: string[] = [];
    const listening = (async () => {
      for await (const belief of consensus.leadership()) beliefs.push(belief.kind);
    })();
    // The first write is the candidate's own key.
    disk.plan(scriptedFaults([{ kind: "write", path, skip: 1, effect: full }]));
    await consensus.join(identity(1));
    await time.advance(999);
    expect(beliefs).toEqual(["none"]);
    await time.advance(1);
    expect(beliefs).toEqual(["none", "leading"]);
    await consensus.close();
    await listening;
    await store.close();
  });

  it("does not keep the keys of a candidate that left for good", async () => {
    const { disk } = faultyDisk();
    const controller = await startController(disk);
    disk.plan(scriptedFaults([{ kind: "write", path, effect: full }]));
    await controller.consensus.close();
    const next = controller.store.candidate();
    await next.join(identity(2));
    await next.sync(new AbortController().signal);
    const members = await next.describeMembers();
    expect(members.filter(({ alive }) => alive).map(({ controllerId }) => controllerId)).toEqual([2]);
    await next.close();
    await controller.store.close();
  });
});

describe("compaction", () => {
  it("goes by itself when the file is large and mostly history, and cuts it", async () => {
    const memory = createMemoryDisk();
    const controller = await startController(memory, { compactionBytesMin: 20_000 });
    for (let n = 0; n < 400; n++) await controller.append("/test/same", `${n} ${"x".repeat(100)}`);
    expect(memory.peek(path)?.length).toBeLessThan(25_000);
    const compactions = controller.events.filter((event) => event.kind === "compacted");
    expect(compactions.length).toBeGreaterThan(2);
    expect(compactions[0]).toMatchObject({ bytesBefore: expect.any(Number) as number, entries: 5 });
    await controller.close();
  });

  it("of a large state waits until as much was written again", async () => {
    const memory = createMemoryDisk();
    const controller = await startController(memory, { compactionBytesMin: 1_000 });
    for (let n = 0; n < 50; n++) await controller.append(`/test/${n}`, "x".repeat(1_000));
    const before = controller.events.filter(({ kind }) => kind === "compacted").length;
    for (let n = 0; n < 50; n++) await controller.append(`/test/${n}`, "x".repeat(1_000));
    const more = controller.events.filter(({ kind }) => kind === "compacted").length - before;
    expect(more).toBeLessThanOrEqual(1);
    await controller.close();
  });

  test.each([
    ["the new file cannot be made", { kind: "create" }, full],
    ["the disk is full", { kind: "write" }, full],
    ["the new file cannot be flushed", { kind: "sync" }, broken],
  ] as const)("is given up where %s, and the store goes on in the old file", async (_, { kind }, effect) => {
    const { memory, disk } = faultyDisk();
    const controller = await startController(disk);
    await controller.append("/test/a", "1");
    disk.plan(scriptedFaults([{ kind, path: ".new", effect }]));
    await controller.store.compact();
    expect(kinds(controller.events)).toContain("compactionFailed");
    expect(await controller.append("/test/b", "1")).toMatchObject({ kind: "committed" });
    await controller.store.compact();
    expect(await controller.append("/test/c", "1")).toMatchObject({ kind: "committed" });
    memory.powerCut();
    const tree = await (await startController(memory)).tree();
    expect(["/test/a", "/test/b", "/test/c"].every((key) => tree.has(key))).toBe(true);
  });

  it("that finds no room takes none: what is left of it goes to the appends behind it", async () => {
    const { memory, disk } = faultyDisk();
    const controller = await startController(disk);
    for (let n = 0; n < 8; n++) await controller.append(`/test/${n}`, "x".repeat(1_000));
    const capacity = memory.usedBytes() + 4_000;
    disk.plan(limitedSpace(memory, () => capacity));
    await controller.store.compact();
    expect(kinds(controller.events)).toContain("compactionFailed");
    expect(await controller.append("/test/a", "1")).toMatchObject({ kind: "committed" });
    await controller.close();
  });

  test.each(["rename", "syncDirectory"] as const)("whose %s fails leaves no safe file to go on in", async (kind) => {
    const { disk } = faultyDisk();
    const controller = await startController(disk);
    disk.plan(scriptedFaults([{ kind, effect: broken }]));
    await controller.store.compact();
    expect(await controller.append("/test/a", "1")).toMatchObject({ kind: "refused", reason: "FAILED" });
    await controller.close();
  });
});

describe("group commit", () => {
  it("flushes appends that wait for each other once", async () => {
    const syncs: DiskOperation[] = [];
    const { disk } = faultyDisk();
    const controller = await startController(disk);
    disk.plan((operation) => {
      if (operation.kind === "sync") syncs.push(operation);
      return undefined;
    });
    const outcomes = await Promise.all(Array.from({ length: 200 }, (_, n) => controller.append(`/test/${n}`, "1")));
    expect(outcomes.filter(({ kind }) => kind === "committed")).toHaveLength(200);
    expect(syncs.length).toBeLessThanOrEqual(3);
    const revisions = outcomes.flatMap((outcome) => (outcome.kind === "committed" ? [outcome.revision] : []));
    expect(new Set(revisions).size).toBe(200);
    await controller.close();
  });

  it("takes no more along than a bounded flush", async () => {
    const { disk } = faultyDisk();
    const controller = await startController(disk);
    let largest = 0;
    disk.plan((operation) => {
      largest = Math.max(largest, operation.bytes);
      return undefined;
    });
    const value = "x".repeat(60_000);
    const batch = Array.from({ length: 8 }, (_, n) => put(`/test/${n}`, value));
    await Promise.all(Array.from({ length: 20 }, () => controller.consensus.append(controller.epoch, batch)));
    expect(largest).toBeLessThan(2 * 1024 * 1024);
    await controller.close();
  });
});
