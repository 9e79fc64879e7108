import { createManualTime, createSeededRandom } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import {
  anyFault,
  createFaultDisk,
  createMemoryDisk,
  type FaultPlan,
  keepAll,
  limitedSpace,
  randomFaults,
  scriptedFaults,
} from "../index.ts";

const bytes = (length: number) => new Uint8Array(length).fill(1);

async function withFile(plan: FaultPlan) {
  const memory = createMemoryDisk();
  const time = createManualTime();
  const disk = createFaultDisk(memory, { scheduler: time.scheduler });
  const file = await disk.create("/a");
  await disk.syncDirectory("/");
  disk.plan(plan);
  return { memory, time, disk, file };
}

describe("a disk with faults", () => {
  it("fails the operation that the script names, and no other", async () => {
    const { file } = await withFile(
      scriptedFaults([{ kind: "write", path: "a", skip: 1, effect: { kind: "fail", code: "IO" } }]),
    );
    await file.write(0, [bytes(1)]);
    await expect(file.write(1, [bytes(1)])).rejects.toMatchObject({ code: "IO" });
    await file.write(1, [bytes(1)]);
    expect(await file.size()).toBe(2);
  });

  it("never makes durable what a failed sync should have written", async () => {
    const { memory, file } = await withFile(scriptedFaults([{ kind: "sync", effect: { kind: "fail", code: "IO" } }]));
    await file.write(0, [bytes(5)]);
    await expect(file.sync()).rejects.toMatchObject({ code: "IO" });
    await file.sync();
    memory.powerCut(keepAll);
    expect(memory.peek("/a")).toHaveLength(0);
  });

  it("writes a part and fails when it is full", async () => {
    const { memory, disk, file } = await withFile(() => undefined);
    disk.plan(limitedSpace(memory, () => 10));
    await file.write(0, [bytes(8)]);
    await expect(file.write(8, [bytes(1), bytes(4)])).rejects.toMatchObject({ code: "NO_SPACE" });
    expect(await file.size()).toBe(10);
    await expect(disk.create("/b")).rejects.toMatchObject({ code: "NO_SPACE" });
  });

  it("delays and hangs by the scheduler's time", async () => {
    const { time, file } = await withFile(
      scriptedFaults([
        { kind: "read", effect: { kind: "delay", ms: 100 } },
        { kind: "sync", effect: { kind: "hang", ms: 500 } },
      ]),
    );
    const ended: string[] = [];
    const read = file.read(0, 1).then(() => ended.push("read"));
    const sync = file.sync().catch((error: unknown) => ended.push(String(error)));
    await time.advance(99);
    expect(ended).toEqual([]);
    await time.advance(1);
    expect(ended).toEqual(["read"]);
    await time.advance(400);
    await Promise.all([read, sync]);
    expect(ended).toEqual(["read", "DiskError: HUNG: sync /a"]);
  });

  it("closes a file when what it was asked for has ended, what hangs too", async () => {
    const { memory, time, file } = await withFile(
      scriptedFaults([
        { kind: "write", effect: { kind: "delay", ms: 100 } },
        { kind: "sync", effect: { kind: "hang", ms: 500 } },
      ]),
    );
    const ended: string[] = [];
    const write = file.write(0, [bytes(5)]).then(() => ended.push("write"));
    const sync = file.sync().catch((error: unknown) => ended.push(String(error)));
    const closes = [file.close(), file.close()].map((close) => close.then(() => ended.push("close")));
    await expect(file.read(0, 1)).rejects.toMatchObject({ code: "CLOSED" });
    await time.advance(100);
    expect(memory.peek("/a")).toHaveLength(5);
    await time.advance(399);
    expect(ended).toEqual(["write"]);
    await time.advance(1);
    await Promise.all([write, sync, ...closes]);
    expect(ended).toEqual(["write", "DiskError: HUNG: sync /a", "close", "close"]);
  });

  it("draws the same faults from the same seed", () => {
    const draw = (seed: number) => {
      const plan = randomFaults(createSeededRandom(seed), { failedSync: 0.5, shortWrite: 0.5, delay: 0.5, delayMs: 9 });
      return Array.from({ length: 20 }, (_, n) =>
        plan({ kind: n % 2 === 0 ? "sync" : "write", path: "/a", bytes: 100 }),
      );
    };
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
  });

  it("takes the first plan that has something to say", async () => {
    const { file } = await withFile(
      anyFault([() => undefined, () => ({ kind: "fail", code: "DENIED" }), () => ({ kind: "fail", code: "IO" })]),
    );
    await expect(file.read(0, 1)).rejects.toMatchObject({ code: "DENIED" });
  });
});
