/** No file handle is left: what changed nothing ends no directory. What can be refused is; what cannot be is done later. */
import { createMemoryDisk, type FaultPlan } from "@tidemark/disk";
import { createManualTime } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { LogError } from "./errors.ts";
import { createLogFiles } from "./open-log.ts";
import { checkRecovered } from "./testing/check-recovered.ts";
import type { CrashRun } from "./testing/crash-points.ts";
import { crashRuns } from "./testing/crash-runs.ts";
import {
  at,
  batchAt,
  contentOf,
  createTestLog,
  epoch,
  epochFile,
  logDirectory,
  logFile,
  namesOf,
  openTestLog,
  settled,
  type TestLog,
  testContext,
  threeFlushed,
  whileTimeGoes,
} from "./testing/fixture.ts";
import { createDriver, type Expected } from "./testing/model.ts";
import { createTestProducers } from "./testing/producers.ts";

const noRoom = expect.stringMatching(/^NO_(SPACE|HANDLES)$/) as string;
const takesHandle = new Set(["open", "create", "list", "syncDirectory"]);
const noHandles: FaultPlan = ({ kind }) => (takesHandle.has(kind) ? { kind: "fail", code: "NO_HANDLES" } : undefined);

/** Nothing is open any more. */
function outOfHandles(test: TestLog): void {
  test.context.files.forgetBelow("/data/log");
  test.faulty.plan(noHandles);
}

const ways: [string, (test: TestLog) => Promise<unknown>, { readonly end: bigint; readonly content: string[] }][] = [
  ["a cut", ({ log }) => log.truncateTo(at(1), { isNoted: true }), { end: 1n, content: ["0..1", "1..2"] }],
  ["a new beginning", ({ log }) => log.startAnewAt(at(1)), { end: 0n, content: ["1..2"] }],
];

describe("without a file handle", () => {
  it.each(ways)("%s waits, and is made when there are some", async (_, work, { end, content }) => {
    const test = await threeFlushed();
    outOfHandles(test);
    let isMade = false;
    const made = work(test).then(() => (isMade = true));
    await test.time.advance(60_000);
    expect([isMade, test.context.failure(), test.log.logEndOffset]).toEqual([false, undefined, end]);
    expect(() => test.log.append(batchAt(1))).toThrow(expect.objectContaining({ code: "CUTTING" }));
    test.faulty.plan(() => undefined);
    await whileTimeGoes(test.time, made);
    await test.flush(batchAt(1));
    test.disk.powerCut();
    const log = await test.reopen();
    expect([log.status.kind, await contentOf(log)]).toEqual(["online", content]);
  });

  it.each(ways)(
    "%s that waits ends when the log is closed: the stop is not clean, the next start sound",
    async (_, work) => {
      const test = await threeFlushed();
      outOfHandles(test);
      const made = expect(work(test)).rejects.toMatchObject({ code: "NO_SPACE" });
      await test.time.advance(5000);
      await expect(whileTimeGoes(test.time, test.log.close())).rejects.toMatchObject({ code: noRoom });
      await made;
      expect(test.context.failure()).toBeUndefined();
      test.faulty.plan(() => undefined);
      const log = await test.reopen();
      expect([log.status.kind, await contentOf(log)]).toEqual(["online", ["0..1", "1..2", "2..3"]]);
    },
  );

  it.each(ways)(
    "%s that was closed half way makes the stop not clean, though all else has its handles",
    async (_, work) => {
      const test = await threeFlushed();
      test.context.files.forgetBelow("/data/log");
      test.faulty.plan((operation) =>
        operation.kind === "syncDirectory" || operation.path === logFile ? noHandles(operation) : undefined,
      );
      const made = expect(work(test)).rejects.toMatchObject({ code: "NO_SPACE" });
      await test.time.advance(5000);
      await expect(whileTimeGoes(test.time, test.log.close())).rejects.toMatchObject({ code: "NO_SPACE" });
      await made;
    },
  );

  it("a log start is stored when there are some", async () => {
    const test = await createTestLog({ settings: { segmentBytes: 200, flush: "async" } });
    for (let offset = 0; offset < 6; offset++) await test.flush(batchAt(offset, { leaderEpoch: offset }));
    await settled(test);
    test.log.setHighWatermark(at(6));
    await settled(test);
    outOfHandles(test);
    const moved = test.log.moveLogStart(at(5));
    await test.time.advance(60_000);
    expect([test.log.logStartOffset, test.log.storedLogStart, test.context.failure()]).toEqual([
      at(5),
      at(0),
      undefined,
    ]);
    test.faulty.plan(() => undefined);
    await whileTimeGoes(test.time, moved);
    expect(test.log.storedLogStart).toBe(at(5));
    test.disk.powerCut();
    const log = await test.reopen();
    expect([log.status.kind, log.logStartOffset, log.epochs]).toEqual([
      "online",
      at(5),
      [{ leaderEpoch: 5, startOffset: at(5) }],
    ]);
  });

  it.each([
    ["a stop", ({ log }: TestLog) => log.close()],
    ["a power cut", async ({ disk }: TestLog) => disk.powerCut()],
  ])("leader epochs behind a deletion whose list of them was not made durable outlive %s", async (_, end) => {
    const test = await createTestLog({ settings: { segmentBytes: 300 } });
    for (let offset = 0; offset < 6; offset++) await test.flush(batchAt(offset, { leaderEpoch: offset }));
    test.log.setHighWatermark(at(6));
    let isRenamed = false;
    test.faulty.plan(({ kind, path }) => {
      if (kind === "rename") isRenamed ||= path.includes("leader-epoch");
      return kind === "syncDirectory" && isRenamed ? { kind: "fail", code: "NO_HANDLES" } : undefined;
    });
    await whileTimeGoes(test.time, test.log.moveLogStart(at(5)));
    expect([isRenamed, test.context.failure()]).toEqual([true, undefined]);
    test.faulty.plan(() => undefined);
    test.log.beginEpoch(epoch(7));
    await test.flush(batchAt(6, { leaderEpoch: 9 }));
    await end(test);
    const log = await test.reopen();
    expect(log.epochs.map(({ leaderEpoch, startOffset }) => [leaderEpoch, startOffset])).toEqual([
      [5, at(5)],
      [7, at(6)],
      [9, at(6)],
    ]);
  });

  it("an append of a producer is refused, with a new leader epoch that was on disk already", async () => {
    const test = await createTestLog({ settings: { segmentBytes: 200 }, producers: createTestProducers() });
    await test.flush(batchAt(0), batchAt(1));
    // Of two groups the first is written, with the leader epochs of both.
    test.faulty.plan(({ kind, path }) =>
      kind === "create" && path.endsWith("2.log") ? noHandles({ kind, path, bytes: 0 }) : undefined,
    );
    test.log.append(batchAt(2));
    test.log.append(batchAt(3, { leaderEpoch: 4 }));
    await expect(test.log.flushed(at(4))).rejects.toMatchObject({ code: "NO_SPACE" });
    outOfHandles(test);
    await expect(test.flush(batchAt(2, { leaderEpoch: 5 }))).rejects.toMatchObject({ code: "NO_SPACE" });
    await settled(test);
    expect(test.context.failure()).toBeUndefined();
    test.faulty.plan(() => undefined);
    await test.flush(batchAt(2, { leaderEpoch: 5 }), batchAt(3, { leaderEpoch: 6 }));
    const { epochs } = test.log;
    expect(epochs.map(({ leaderEpoch }) => leaderEpoch)).toEqual([0, 5, 6]);
    test.disk.powerCut();
    const log = await test.reopen();
    expect([log.epochs, test.starts.at(-1)?.hadEpochs]).toEqual([epochs, true]);
  });

  it.each([
    ["a smaller batch that still fits into the segment before", ({ flush }: TestLog) => flush(batchAt(1)), 2],
    ["a cut", ({ log }: TestLog) => log.truncateTo(at(0)), 0],
    ["a new beginning", ({ log }: TestLog) => log.startAnewAt(at(0)), 0],
  ])("a segment that was begun and not finished is gone before %s", async (_, goOn, end) => {
    const test = await createTestLog({ settings: { segmentBytes: 300, retentionMs: 1 } });
    await test.flush(batchAt(0));
    test.log.setHighWatermark(at(1));
    test.faulty.plan(({ kind }) => (kind === "syncDirectory" ? { kind: "fail", code: "NO_HANDLES" } : undefined));
    await expect(test.log.applyRetention(1n << 60n)).rejects.toMatchObject({ code: noRoom });
    test.faulty.plan(() => undefined);
    await goOn(test);
    await test.log.close();
    const log = await test.reopen();
    expect([log.status.kind, log.logEndOffset]).toEqual(["online", at(end)]);
    expect(await contentOf(log)).toHaveLength(end);
  });

  it("damage is noted when there are some, and a stop before is not clean", async () => {
    const damaged = async () => {
      const test = await createTestLog({ recentBytes: 0 });
      await test.flush(batchAt(0), batchAt(1));
      await test.log.close();
      await test.reopen();
      test.disk.flipBit(logFile, { byte: 70, bit: 1 });
      test.faulty.plan(({ kind, path, bytes }) =>
        path.includes("damage") || kind === "syncDirectory" ? noHandles({ kind, path, bytes }) : undefined,
      );
      await expect(test.log.read(at(0), { maxBytes: 1000 })).rejects.toMatchObject({ code: "OFFLINE" });
      const told: string[] = [];
      test.log.damageNoted().then(
        () => told.push("noted"),
        (error: unknown) => told.push(error instanceof LogError ? error.code : String(error)),
      );
      await settled(test);
      expect([test.context.failure(), (await namesOf(test)).includes("damage"), told]).toEqual([undefined, false, []]);
      return { ...test, told };
    };
    const noted = await damaged();
    noted.faulty.plan(() => undefined);
    await settled(noted);
    expect(await namesOf(noted)).toContain("damage");
    expect(noted.told).toEqual(["noted"]);
    const stopped = await damaged();
    await expect(whileTimeGoes(stopped.time, stopped.log.close())).rejects.toMatchObject({ code: "NO_SPACE" });
    expect(stopped.told).toEqual(["NO_SPACE"]);
    const failed = await damaged();
    failed.faulty.plan(({ path }) => (path.includes("damage") ? { kind: "fail", code: "IO" } : undefined));
    await settled(failed);
    expect(failed.told).toEqual(["DIRECTORY_FAILED"]);
  });

  it("what was cut is forgotten when there are some", async () => {
    const test = await threeFlushed();
    await test.log.truncateTo(at(2), { isNoted: true });
    outOfHandles(test);
    const forgotten = test.log.forgetCutNote();
    await test.time.advance(5000);
    test.faulty.plan(() => undefined);
    await whileTimeGoes(test.time, forgotten);
    test.disk.powerCut();
    expect([(await test.reopen()).cutNote, test.context.failure()]).toEqual([undefined, undefined]);
  });
});

describe("a full disk", () => {
  it("that kept the leader epoch of a refused batch in the list does so only until something is appended", async () => {
    const test = await createTestLog();
    await test.flush(batchAt(0));
    test.faulty.plan(({ kind, path }) =>
      (kind === "write" && path === logFile) || (kind === "truncate" && path === epochFile)
        ? { kind: "fail", code: "NO_SPACE" }
        : undefined,
    );
    const refused = test.flush(batchAt(1), batchAt(2, { leaderEpoch: 4 }));
    await expect(refused).rejects.toMatchObject({ code: "NO_SPACE" });
    test.faulty.plan(() => undefined);
    await test.flush(batchAt(1, { leaderEpoch: 5 }));
    const { epochs } = test.log;
    expect(epochs.map(({ leaderEpoch }) => leaderEpoch)).toEqual([0, 5]);
    test.disk.powerCut();
    const log = await test.reopen();
    expect([test.starts.at(-1)?.hadEpochs, log.epochs]).toEqual([true, epochs]);
  });

  it("whose flush fails before a roll is the end of the directory: the next flush would not bring back what it lost", async () => {
    const test = await createTestLog({ settings: { segmentBytes: 200, flush: "async" } });
    await test.flush(batchAt(0), batchAt(1));
    test.faulty.plan(({ kind, path }) =>
      kind === "sync" && path === logFile ? { kind: "fail", code: "NO_SPACE" } : undefined,
    );
    await expect(test.flush(batchAt(2))).rejects.toMatchObject({ code: "DIRECTORY_FAILED" });
  });

  it("keeps no log from being cut that was compacted, and loses what says so", async () => {
    const { test } = await runTo(crashRuns.compaction, () => undefined);
    test.faulty.plan(({ kind, path }) =>
      kind === "write" && path.includes("cleaner") ? { kind: "short", bytes: 3, code: "NO_SPACE" } : undefined,
    );
    expect(await namesOf(test)).toContain("cleaner-offset-checkpoint");
    await whileTimeGoes(test.time, test.log.truncateTo(at(3)));
    expect([test.context.failure(), (await namesOf(test)).includes("cleaner-offset-checkpoint")]).toEqual([
      undefined,
      false,
    ]);
  });
});

async function runTo(
  run: CrashRun,
  faults: FaultPlan,
): Promise<{ readonly test: TestLog; readonly expected: Expected }> {
  const time = createManualTime();
  const disk = createMemoryDisk();
  await disk.makeDirectory("/data");
  await disk.syncDirectory("/");
  await createLogFiles({ context: testContext(disk, time), directory: logDirectory });
  const test = await openTestLog(disk, { ...run, time, always: faults });
  const driver = createDriver(test);
  await whileTimeGoes(time, run.drive(driver));
  return { test, expected: driver.expected };
}

describe("one call that finds no file handle, at any step of", () => {
  const runs = [
    "a cut within a segment, and appends after it",
    "cuts between batches, where compaction left nothing, and within one",
    "a cut over segments while a flush is out",
    "a new beginning, above and below",
    "the deletion of records",
    "a compaction that merges segments",
  ] satisfies (keyof typeof crashRuns)[];

  it.each(runs)("%s harms nothing: what was not refused is done", async (name) => {
    const run: CrashRun = crashRuns[name];
    let steps = 0;
    let done = 0;
    for (let isOver = false; !isOver; steps++) {
      let left = steps;
      let failed: string | undefined;
      const faults: FaultPlan = (operation) => {
        const effect = noHandles(operation);
        if (effect === undefined || left-- !== 0) return undefined;
        failed = `${operation.kind} ${operation.path} (${steps})`;
        return effect;
      };
      try {
        const { test, expected } = await runTo(run, faults);
        done++;
        expect([failed, test.context.failure()]).toEqual([failed, undefined]);
        test.disk.powerCut();
        expect([failed, await checkRecovered(test.disk, run, expected)]).toEqual([failed, []]);
      } catch (error) {
        // An append that is refused ends the run; so does a start.
        expect([failed, error]).toMatchObject([failed, { code: noRoom }]);
      }
      isOver = failed === undefined;
    }
    expect([done > 1, steps > 5]).toEqual([true, true]);
  });
});
