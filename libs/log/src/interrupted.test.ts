/** What is interrupted half way, by a full disk or by the log's end, and must not be gone on with as if it had not begun. */
import { dropAll, keepAll } from "@tidemark/disk";
import { describe, expect, it } from "vitest";
import { defaultCompactionSettings } from "./settings.ts";
import {
  appendUnflushed,
  at,
  batchAt,
  contentOf,
  createTestLog,
  logFile,
  namesOf,
  type TestLog,
  whileTimeGoes,
} from "./testing/fixture.ts";

/** What simulated seed 3036 found: such a log kept its whole broker from starting. */
describe("a log start above what is durable", () => {
  it("makes that durable first, so that no power cut leaves a log that ends before it starts", async () => {
    const test = await createTestLog({ settings: { flush: "async" } });
    await test.flush(batchAt(0), batchAt(1), batchAt(2));
    test.log.setHighWatermark(at(3));
    await test.log.moveLogStart(at(3));
    test.disk.powerCut();
    const log = await test.reopen();
    expect([log.status.kind, log.logStartOffset, log.highWatermark, log.logEndOffset]).toEqual([
      "online",
      at(3),
      at(3),
      at(3),
    ]);
  });
});

/** What a power cut left of a log whose second batch was written and never flushed. */
async function oneUnflushed(): Promise<TestLog> {
  const test = await createTestLog();
  await test.flush(batchAt(0));
  await test.time.advance(2000);
  await appendUnflushed(test, batchAt(1));
  test.disk.powerCut(keepAll);
  return test;
}

describe("a tail that is written anew", () => {
  it("is still there after the disk refused the rename that gives it its name, which is the directory's end", async () => {
    const test = await oneUnflushed();
    let left = 1;
    test.faulty.plan(({ kind, path }) =>
      kind === "rename" && path.includes("00000000000000000001.log") && left-- > 0
        ? { kind: "fail", code: "NO_SPACE" }
        : undefined,
    );
    await test.reopen();
    await expect(test.log.flushed(at(2))).rejects.toMatchObject({ code: "DIRECTORY_FAILED" });
    test.disk.powerCut();
    await test.reopen();
    await test.log.flushed(at(2));
    expect((await contentOf(test.log)).slice(0, 2)).toEqual(["0..1", "1..2"]);
  });
});

describe("a tail for which there is no room", () => {
  /** A log whose start finds an unflushed batch, and half of another, on a disk that refuses the copies of `part`. */
  async function startWithoutRoom(part: string) {
    const test = await oneUnflushed();
    test.disk.put(logFile, new Uint8Array([...test.disk.peek(logFile)!, ...batchAt(2).subarray(0, 20)]));
    let isFull = true;
    test.faulty.plan(({ kind, path, bytes }) =>
      isFull && kind === "write" && path.includes(part)
        ? { kind: "short", bytes: bytes / 2, code: "NO_SPACE" }
        : undefined,
    );
    test.events.length = 0;
    await test.reopen();
    return {
      test,
      freeSpace() {
        isFull = false;
      },
    };
  }

  it.each([".torn", "1.log.aside"])(
    "is secured when there is room again, and nothing was appended (%s)",
    async (part) => {
      const { test, freeSpace } = await startWithoutRoom(part);
      const waiting = test.log.flushed(at(2));
      await test.time.advance(60_000);
      expect([test.log.flushedOffset, test.context.failure()]).toEqual([at(1), undefined]);
      expect(test.events.filter(({ kind }) => kind === "refused")).toEqual([]);
      freeSpace();
      await test.time.advance(10_000);
      await waiting;
      expect(test.log.flushedOffset).toBe(at(2));
      test.disk.powerCut();
      await test.reopen();
      expect([test.log.status.kind, await contentOf(test.log)]).toEqual(["online", ["0..1", "1..2"]]);
    },
  );

  it("refuses what is appended meanwhile, and nobody who waits for what is in the log", async () => {
    const { test, freeSpace } = await startWithoutRoom("1.log.aside");
    const waiting = test.log.flushed(at(2));
    await expect(test.flush(batchAt(2))).rejects.toMatchObject({ code: "NO_SPACE" });
    freeSpace();
    await test.time.advance(10_000);
    await waiting;
    await test.flush(batchAt(2));
    expect(await contentOf(test.log)).toEqual(["0..1", "1..2", "2..3"]);
  });

  it("leaves no half copy that takes the room of others", async () => {
    const { test } = await startWithoutRoom("1.log.aside");
    for (let step = 0; step < 70; step++) await test.time.advance(100);
    expect((await namesOf(test)).filter((name) => name.endsWith(".aside"))).toEqual([]);
  });

  it("is not called flushed by a stop, which is then not clean", async () => {
    const { test } = await startWithoutRoom("1.log.aside");
    // The try of the start, and a later one.
    for (let step = 0; step < 70; step++) await test.time.advance(100);
    await expect(test.log.close()).rejects.toMatchObject({ code: "NO_SPACE" });
    expect(test.log.status.kind).toBe("closed");
    const told = test.events.length;
    await test.time.advance(60_000);
    // What is left is the sync that hangs.
    expect([test.events.length, test.time.pending()]).toEqual([told, 1]);
    test.faulty.plan(() => undefined);
    await test.reopen();
    expect(test.starts.at(-1)?.unflushed).toEqual({ from: at(1), end: at(2) });
    await test.log.flushed(at(2));
  });

  it("is secured by the stop, where there is room again", async () => {
    const { test, freeSpace } = await startWithoutRoom("1.log.aside");
    for (let step = 0; step < 10; step++) await test.time.advance(100);
    freeSpace();
    await test.log.close();
    await test.reopen();
    expect(test.starts.at(-1)?.unflushed).toEqual({ from: at(2), end: at(2) });
  });

  it("stays in the last segment, whatever retention deletes", async () => {
    const test = await createTestLog({ settings: { retentionMs: 0 } });
    await test.flush(batchAt(0));
    await test.log.close();
    test.disk.put(logFile, new Uint8Array([...test.disk.peek(logFile)!, ...batchAt(1).subarray(0, 20)]));
    test.faulty.plan(({ kind, path }) =>
      kind === "write" && path.includes(".torn") ? { kind: "fail", code: "NO_SPACE" } : undefined,
    );
    await test.reopen();
    test.log.setHighWatermark(at(1));
    await test.log.applyRetention(4_000_000_000_000n);
    await test.flush(batchAt(1)).catch(() => undefined);
    expect([test.log.logStartOffset, test.log.segmentCount]).toEqual([at(0), 1]);
    test.faulty.plan(() => undefined);
    await test.time.advance(7000);
    await test.log.applyRetention(4_000_000_000_000n);
    await test.flush(batchAt(1));
    const log = await test.reopen();
    expect([log.status.kind, log.logStartOffset, await contentOf(log)]).toEqual(["online", at(1), ["1..2"]]);
  });
});

describe("a replacement of several segments", () => {
  it("whose last rename the disk refuses is the directory's end, and finished by the next start", async () => {
    const compaction = { ...defaultCompactionSettings, minDirtyRatio: 0 };
    const settings = { gaps: true, segmentBytes: 200, compaction };
    const test = await createTestLog({ settings });
    for (let offset = 0; offset < 8; offset++) await test.flush(batchAt(offset, { key: "a", value: String(offset) }));
    test.log.setHighWatermark(at(8));
    let left = 1;
    await test.log.compact(1_800_000_000_000n).catch(() => undefined);
    for (let offset = 8; offset < 14; offset++) await test.flush(batchAt(offset, { key: "b", value: String(offset) }));
    test.log.setHighWatermark(at(14));
    const renames: string[] = [];
    test.faulty.plan(({ kind, path }) => {
      if (kind !== "rename") return undefined;
      renames.push(path);
      return path.includes("swap") && left-- > 0 ? { kind: "fail", code: "NO_SPACE" } : undefined;
    });
    await expect(test.log.compact(1_800_000_000_000n)).rejects.toMatchObject({ code: "DIRECTORY_FAILED" });
    const log = await test.reopen();
    expect(log.status.kind).toBe("online");
    expect((await namesOf(test)).filter((name) => name.includes("swap"))).toEqual([]);
  });
});

/** A log whose compaction puts one segment in the place of several, and its faults. */
async function aboutToMerge() {
  const compaction = { ...defaultCompactionSettings, minDirtyRatio: 0 };
  const test = await createTestLog({ settings: { gaps: true, segmentBytes: 200, compaction } });
  for (let offset = 0; offset < 8; offset++) await test.flush(batchAt(offset, { key: "a", value: String(offset) }));
  test.log.setHighWatermark(at(8));
  await test.log.compact(1_800_000_000_000n);
  for (let offset = 8; offset < 14; offset++) await test.flush(batchAt(offset, { key: "b", value: String(offset) }));
  test.log.setHighWatermark(at(14));
  return test;
}

describe("a replacement of several segments that has begun", () => {
  it.each(["IO", "NO_SPACE"] as const)(
    "is finished by the next start, whichever of its operations fails (%s) and whatever power takes",
    async (code) => {
      let operations = 0;
      for (let isDone = false; !isDone; operations++) {
        for (const loss of [dropAll, keepAll]) {
          const test = await aboutToMerge();
          let left = operations;
          let hasBegun = false;
          test.faulty.plan(({ kind, path }) => {
            const counts = hasBegun && /^(rename|remove|syncDirectory)$/.test(kind);
            // The rename by which it begins goes well.
            hasBegun ||= kind === "rename" && path.endsWith(".cleaned.aside");
            return counts && left-- === 0 ? { kind: "fail", code } : undefined;
          });
          const compacted = await test.log.compact(1_800_000_000_000n).then(
            () => "done",
            (error: unknown) => error,
          );
          isDone = left >= 0;
          expect(hasBegun).toBe(true);
          // A full disk ends no more than the round, where no segment is on its way.
          if (!isDone && code === "IO") expect(compacted).toMatchObject({ code: "DIRECTORY_FAILED" });
          test.disk.powerCut(loss);
          test.faulty.plan(() => undefined);
          const log = await test.reopen();
          const found = await contentOf(log);
          expect([operations, log.status.kind, log.logEndOffset, found.slice(-1)]).toEqual([
            operations,
            "online",
            at(14),
            ["13..14"],
          ]);
          expect((await namesOf(test)).filter((name) => name.includes("swap"))).toEqual([]);
        }
      }
      expect(operations).toBeGreaterThan(5);
    },
  );
});

describe("a log that is being closed", () => {
  it("is not cut any more", async () => {
    const test = await createTestLog();
    await test.flush(batchAt(0), batchAt(1), batchAt(2));
    const bytes = test.disk.peek(logFile)!.length;
    const closed = test.log.close();
    await expect(test.log.truncateTo(at(1))).rejects.toMatchObject({ code: "CLOSED" });
    await closed;
    expect(test.disk.peek(logFile)!.length).toBe(bytes);
    expect(test.context.failure()).toBeUndefined();
  });

  it("is closed for everyone only when it is closed", async () => {
    const test = await createTestLog();
    test.faulty.plan(({ kind, path }) =>
      kind === "sync" && path === logFile ? { kind: "delay", ms: 1000 } : undefined,
    );
    test.log.append(batchAt(0));
    const order: string[] = [];
    const first = test.log.close().then(() => order.push("first"));
    const second = test.log.close().then(() => order.push(`second, durable ${test.log.flushedOffset}`));
    await test.time.advance(5000);
    await Promise.all([first, second]);
    expect(order).toContain("second, durable 1");
  });
});

describe("a log that went offline", () => {
  /** A log of several segments, in the first of which damage will be found; its compaction and its appends are slow. */
  async function slowLog(noteDamage: boolean) {
    const compaction = { ...defaultCompactionSettings, minDirtyRatio: 0 };
    const settings = { segmentBytes: 200, compaction };
    const test = await createTestLog({ settings, recentBytes: 0, guards: { noteDamage } });
    for (let offset = 0; offset < 8; offset++) await test.flush(batchAt(offset, { key: "a", value: String(offset) }));
    test.log.setHighWatermark(at(8));
    await test.time.advance(2000);
    const touched: string[] = [];
    test.faulty.plan(({ kind, path }) => {
      touched.push(`${kind} ${path}`);
      return kind === "write" || kind === "sync" || kind === "syncDirectory" || kind === "rename"
        ? { kind: "delay", ms: 100 }
        : undefined;
    });
    return {
      ...test,
      touched,
      async findDamage() {
        test.disk.put(logFile, new Uint8Array(test.disk.peek(logFile)!.length).fill(0xff));
        // What a compaction puts in the place of those bytes is sound.
        await whileTimeGoes(test.time, test.log.read(at(0), { maxBytes: 1 })).catch(() => undefined);
      },
    };
  }

  it.each([
    ["a compaction", ({ log }: TestLog) => void log.compact(1_800_000_000_000n).catch(() => undefined), false],
    ["an append", ({ log }: TestLog) => void log.append(batchAt(8)), false],
    ["the note of its damage", () => undefined, true],
  ])("touches nothing of its files once it is closed, though %s was under way", async (_, begin, notes) => {
    let offline = 0;
    for (let moment = 0; moment < 20; moment++) {
      const test = await slowLog(notes);
      begin(test);
      for (let step = 0; step < moment; step++) await test.time.advance(50);
      await test.findDamage();
      if (test.log.status.kind === "offline") offline++;
      await whileTimeGoes(test.time, test.log.close());
      const { length } = test.touched;
      for (let step = 0; step < 50; step++) await test.time.advance(50);
      expect(test.touched.slice(length)).toEqual([]);
      expect([test.log.status.kind, test.context.failure()]).toEqual(["closed", undefined]);
    }
    expect(offline).toBeGreaterThan(5);
  });

  it("is closed at once where its directory failed, whatever hangs there", async () => {
    const test = await createTestLog();
    await appendUnflushed(test, batchAt(0));
    test.context.fail(new Error("elsewhere"), "testing");
    await test.log.close();
    expect(test.log.status.kind).toBe("closed");
  });
});
