/** Failure case 8: checkpoints that are missing, older or newer than the log. */
import { describe, expect, it } from "vitest";
import {
  at,
  batchAt,
  checkpointFile,
  contentOf,
  createTestLog,
  logFile,
  settled,
  threeFlushed,
} from "../testing/fixture.ts";

describe("case 8: checkpoints", () => {
  it("that are missing do not stop a start, and the log has everything", async () => {
    const test = await createTestLog({ settings: { segmentBytes: 200 } });
    for (let offset = 0; offset < 6; offset++) await test.flush(batchAt(offset, { leaderEpoch: offset >> 1 }));
    const { epochs } = test.log;
    test.disk.kill();
    for (const name of ["offset-checkpoint", "leader-epoch-checkpoint"]) await test.disk.remove(`/data/log/${name}`);
    await test.reopen();
    expect([test.log.status.kind, test.log.logEndOffset]).toEqual(["online", at(6)]);
    expect(test.log.epochs).toEqual(epochs);
    await test.log.flushed(at(6));
    // No crash takes both slots: it is not taken for granted that nothing else is missing.
    expect(test.starts.map(({ hadNotes, hadEpochs }) => [hadNotes, hadEpochs])).toEqual([
      [true, true],
      [false, false],
    ]);
  });

  it("that are missing leave nothing on trust: what is damaged anywhere is found", async () => {
    const test = await createTestLog({ settings: { segmentBytes: 200 } });
    for (let offset = 0; offset < 6; offset++) await test.flush(batchAt(offset));
    test.disk.kill();
    test.disk.flipBit(logFile, { byte: 70, bit: 0 });
    await test.disk.remove(checkpointFile);
    await test.reopen();
    expect(test.log.status).toMatchObject({ kind: "offline", damage: { kind: "corruptBatch", offset: at(0) } });
  });

  it("say what was not flushed and what was torn", async () => {
    const test = await threeFlushed({ settings: { flush: "async" } });
    test.disk.kill();
    test.disk.put(logFile, Buffer.concat([test.disk.peek(logFile)!, batchAt(3).subarray(0, 70)]));
    await test.reopen();
    expect(test.starts.at(-1)).toEqual({
      hadNotes: true,
      hadEpochs: true,
      lostCutNote: false,
      unflushed: { from: at(0), end: at(3) },
      tornBytes: 70,
    });
  });

  it.each(["offset-checkpoint", "leader-epoch-checkpoint"])(
    "that are empty, cut or of random bytes do not either: %s",
    async (name) => {
      for (const bytes of [new Uint8Array(0), new Uint8Array(5000).fill(0x5a), new TextEncoder().encode("0 0 zz")]) {
        const test = await threeFlushed();
        test.disk.kill();
        test.disk.put(`/data/log/${name}`, bytes);
        await test.reopen();
        expect([test.log.status.kind, test.log.logEndOffset, test.log.latestLeaderEpoch]).toEqual(["online", at(3), 0]);
      }
    },
  );

  it("that are older than the log: it is read from there on", async () => {
    const test = await createTestLog();
    const old = test.disk.peek(checkpointFile)!;
    await test.flush(batchAt(0), batchAt(1));
    test.disk.kill();
    test.disk.put(checkpointFile, old);
    await test.reopen();
    expect([test.log.logEndOffset, test.log.flushedOffset]).toEqual([at(2), at(0)]);
    await test.log.flushed(at(2));
  });

  it("that are older than the log and than its index: the index is cut back to a whole batch", async () => {
    const test = await createTestLog({ settings: { indexIntervalBytes: 200 } });
    const write = async (from: number, to: number) => {
      for (let offset = from; offset < to; offset += 3) await test.flush(batchAt(offset, { records: 3 }));
      await settled(test);
    };
    await write(0, 30);
    const old = test.disk.peek(checkpointFile)!;
    await write(30, 60);
    await test.log.close();
    test.disk.put(checkpointFile, old);
    await test.reopen();
    expect([test.log.status.kind, test.log.flushedOffset, test.log.logEndOffset]).toEqual(["online", at(30), at(60)]);
    await test.log.flushed(at(60));
    expect(await contentOf(test.log)).toHaveLength(20);
  });

  it("that are newer than the log: it lost what was flushed, and the replica is offline", async () => {
    const test = await threeFlushed();
    test.disk.kill();
    test.disk.put(logFile, test.disk.peek(logFile)!.subarray(0, batchAt(0).length));
    await test.reopen();
    expect(test.log.status).toMatchObject({ kind: "offline", damage: { kind: "shortLog", offset: at(1) } });
    // That it is damaged stays known, whatever happens next (L10).
    test.disk.powerCut();
    await test.reopen();
    expect(test.log.status).toMatchObject({ kind: "offline", damage: { kind: "shortLog" } });
  });

  it("of the high watermark above the log's end are damage as well", async () => {
    const test = await threeFlushed();
    test.log.setHighWatermark(at(3));
    await test.log.close();
    test.disk.put(logFile, test.disk.peek(logFile)!.subarray(0, 2 * batchAt(0).length));
    await test.reopen();
    expect(test.log.status).toMatchObject({ kind: "offline", damage: { kind: "shortLog" } });
  });
});
