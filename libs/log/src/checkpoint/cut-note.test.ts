import { describe, expect, it } from "vitest";
import { at, batchAt, contentOf, createTestLog, whileTimeGoes } from "../testing/fixture.ts";

const note = "/data/log/cut-note";

async function fiveFlushed() {
  const test = await createTestLog();
  await test.flush(...[0, 1, 2, 3, 4].map((offset) => batchAt(offset)));
  return test;
}

describe("what a cut takes", () => {
  it("is noted where that is asked for, and found again after a power cut, until it is forgotten", async () => {
    const test = await fiveFlushed();
    await test.log.truncateTo(at(3), { isNoted: true });
    expect(test.log.cutNote).toEqual({ firstOffset: 3n, logEnd: 5n });
    test.disk.powerCut();
    await test.reopen();
    expect(test.log.cutNote).toEqual({ firstOffset: 3n, logEnd: 5n });
    const forgotten = test.log.forgetCutNote();
    expect(test.log.cutNote).toBeUndefined();
    await forgotten;
    test.disk.powerCut();
    expect((await test.reopen()).cutNote).toBeUndefined();
  });

  it("is noted together with what earlier cuts took; a cut that nobody wants to hear of adds nothing", async () => {
    const test = await fiveFlushed();
    await test.log.truncateTo(at(4));
    expect(test.log.cutNote).toBeUndefined();
    await test.log.truncateTo(at(3), { isNoted: true });
    await test.flush(batchAt(3), batchAt(4), batchAt(5));
    await test.log.truncateTo(at(5));
    await test.log.startAnewAt(at(2), { isNoted: true });
    expect(test.log.cutNote).toEqual({ firstOffset: 2n, logEnd: 5n });
    await test.log.startAnewAt(at(9), { isNoted: true });
    expect(test.log.cutNote).toEqual({ firstOffset: 2n, logEnd: 5n });
  });

  it("is noted durably before anything of it goes", async () => {
    const test = await fiveFlushed();
    test.faulty.plan(({ kind, path }) =>
      kind === "truncate" && path.endsWith(".log") ? { kind: "hang", ms: 1e9 } : undefined,
    );
    test.log.truncateTo(at(3), { isNoted: true }).catch(() => undefined);
    await test.time.advance(10);
    test.disk.powerCut();
    test.faulty.plan(() => undefined);
    const log = await test.reopen();
    expect(await contentOf(log)).toEqual(["0..1", "1..2", "2..3", "3..4", "4..5"]);
    expect(log.cutNote).toEqual({ firstOffset: 3n, logEnd: 5n });
  });

  it("is cut on a full disk all the same, and told as long as the process lives", async () => {
    const test = await fiveFlushed();
    test.faulty.plan(({ kind, path }) =>
      kind === "write" && path.startsWith(note) ? { kind: "fail", code: "NO_SPACE" } : undefined,
    );
    await whileTimeGoes(test.time, test.log.truncateTo(at(3), { isNoted: true }));
    expect(test.log.logEndOffset).toBe(3n);
    expect(test.log.cutNote).toEqual({ firstOffset: 3n, logEnd: 5n });
    expect((await test.reopen()).cutNote).toBeUndefined();
  });

  it("is cut all the same where a folder has the name of the note", async () => {
    const test = await fiveFlushed();
    await test.disk.makeDirectory(`${note}/inner`);
    await test.reopen();
    await whileTimeGoes(test.time, test.log.truncateTo(at(3), { isNoted: true }));
    expect([test.log.logEndOffset, test.log.cutNote]).toEqual([3n, { firstOffset: 3n, logEnd: 5n }]);
    expect(test.context.failure()).toBeUndefined();
    expect((await test.reopen()).cutNote).toBeUndefined();
  });

  it("is not told by a note that cannot be read", async () => {
    const test = await fiveFlushed();
    await test.log.truncateTo(at(3), { isNoted: true });
    await test.log.close();
    test.disk.put(note, new TextEncoder().encode("3 50000000 deadbeef\n"));
    expect((await test.reopen()).cutNote).toBeUndefined();
    expect(test.starts.at(-1)?.lostCutNote).toBe(true);
  });

  it.each(["DENIED", "IO"] as const)(
    "keeps no log from being opened by a note that is not given back (%s): the next cut is noted again",
    async (code) => {
      const test = await fiveFlushed();
      await test.log.truncateTo(at(4), { isNoted: true });
      await test.log.close();
      test.faulty.plan(({ kind, path }) => (kind === "open" && path === note ? { kind: "fail", code } : undefined));
      const log = await test.reopen();
      expect([log.status.kind, log.cutNote, test.starts.at(-1)?.lostCutNote]).toEqual(["online", undefined, true]);
      await log.truncateTo(at(3), { isNoted: true });
      test.faulty.plan(() => undefined);
      expect((await test.reopen()).cutNote).toEqual({ firstOffset: 3n, logEnd: 4n });
      expect([test.starts.at(-1)?.lostCutNote, test.context.failure()]).toEqual([false, undefined]);
    },
  );
});
