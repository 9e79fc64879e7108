/** Each guard is taken away and the suites must find it: one that survives is a test that is missing. */
import { createFaultDisk } from "@tidemark/disk";
import { createManualTime } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { openLogDirectory } from "./directory/log-directory.ts";
import { allGuards, type LogGuards } from "./guards.ts";
import { checkCrashPoints } from "./testing/crash-points.ts";
import { crashRuns } from "./testing/crash-runs.ts";
import { newDisk, optionsOn, replica, settings } from "./testing/directories.ts";
import { at, batchAt, createTestLog, logFile } from "./testing/fixture.ts";

/** Acknowledged batches are damaged at rest. How many offsets does the log then claim to have, without a word? */
async function silentlyLostTo(guards: Partial<LogGuards>): Promise<bigint | "told"> {
  const test = await createTestLog({ guards });
  await test.flush(batchAt(0), batchAt(1), batchAt(2));
  await test.log.close();
  test.disk.flipBit(logFile, { byte: batchAt(0).length + 70, bit: 1 });
  for (const ending of ["index", "timeindex"]) await test.disk.remove(logFile.replace(/log$/, ending));
  await test.reopen();
  return test.log.status.kind === "offline" ? "told" : test.log.logEndOffset;
}

/** Damage below the recovery point is found by a read. Is it known after the next start, which does not read there? */
async function stillKnown(guards: Partial<LogGuards>): Promise<string> {
  const test = await createTestLog({ guards });
  await test.flush(batchAt(0), batchAt(1), batchAt(2));
  await test.log.close();
  await test.reopen();
  test.disk.flipBit(logFile, { byte: batchAt(0).length + 70, bit: 1 });
  await expect(test.log.read(at(0), { maxBytes: 100_000 })).rejects.toMatchObject({ code: "OFFLINE" });
  await test.time.advance(2000);
  await test.log.close();
  await test.reopen();
  return test.log.status.kind;
}

/** A device gives nothing back while a replica is opened. What is it taken for? */
async function takenFor(guards: Partial<LogGuards>): Promise<string> {
  const memory = await newDisk();
  let isFailing = false;
  const disk = createFaultDisk(memory, {
    scheduler: createManualTime().scheduler,
    plan: ({ kind }) => (isFailing && kind === "read" ? { kind: "fail", code: "IO" } : undefined),
  });
  const directory = await openLogDirectory({ ...optionsOn(memory), disk, guards: { ...allGuards, ...guards } });
  await directory.create(replica);
  isFailing = true;
  const opened = directory.open(replica, settings);
  return opened.then(
    ({ status }) => status.kind,
    () => directory.failure?.code ?? "nothing",
  );
}

describe("the suites find it when", () => {
  const found: Record<
    Exclude<keyof LogGuards, "cutTailOnly" | "noteDamage" | "deviceBeforeDamage">,
    keyof typeof crashRuns
  > = {
    flushBeforeAck: "appends, several in one flush",
    syncDirectories: "a roll",
    checkpointNeverAhead: "appends, several in one flush",
    cutEndsFlushes: "a cut over segments while a flush is out",
    rewriteUnflushedTail: "the start after a kill, which writes the tail anew",
    lowerNotesBeforeCut: "a cut within a segment, and appends after it",
  };
  it.each(Object.entries(found))("%s is off", async (guard, name) => {
    const report = await checkCrashPoints({ ...crashRuns[name], guards: { [guard]: false } });
    expect(report.violations).not.toEqual([]);
  });

  it("cutTailOnly is off", async () => {
    expect(await silentlyLostTo(allGuards)).toBe("told");
    expect(await silentlyLostTo({ cutTailOnly: false })).toBe(at(1));
  });

  it("noteDamage is off", async () => {
    expect(await stillKnown(allGuards)).toBe("offline");
    expect(await stillKnown({ noteDamage: false })).toBe("online");
  });

  it("deviceBeforeDamage is off", async () => {
    expect(await takenFor(allGuards)).toBe("DIRECTORY_FAILED");
    expect(await takenFor({ deviceBeforeDamage: false })).toBe("offline");
  });
});
