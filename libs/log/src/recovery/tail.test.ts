import { describe, expect, it } from "vitest";
import { defaultLogSettings } from "../settings.ts";
import {
  at,
  batchAt,
  checkpointFile,
  contentOf,
  createTestLog,
  logFile,
  namesOf,
  settled,
  threeFlushed,
} from "../testing/fixture.ts";

describe("a tail that was not flushed", () => {
  it.each([
    ["where offsets are missing", batchAt(5, { leaderEpoch: 5 })],
    ["where the leader epoch falls", batchAt(4, { leaderEpoch: 3 })],
  ])("is cut %s", async (_, misfit) => {
    const test = await threeFlushed();
    test.disk.kill();
    test.disk.put(logFile, Buffer.concat([test.disk.peek(logFile)!, batchAt(3, { leaderEpoch: 5 }), misfit]));
    await test.reopen();
    expect([test.log.status.kind, test.log.logEndOffset]).toEqual(["online", at(4)]);
  });

  it.each(["sync", "async"] as const)(
    "is no gap that a follower copied from a compacted leader, though the topic is not compacted any more (%s)",
    async (flush) => {
      const test = await createTestLog({ settings: { flush } });
      test.faulty.plan(({ kind, path }) =>
        kind === "write" && path === checkpointFile ? { kind: "hang", ms: 1e9 } : undefined,
      );
      await test.flush(batchAt(0));
      test.log.append(batchAt(5), { gaps: true });
      await test.flush(batchAt(6));
      test.disk.kill();
      test.faulty.plan(() => undefined);
      await test.reopen();
      expect(await contentOf(test.log)).toEqual(["0..1", "5..6", "6..7"]);
    },
  );

  it("is no gap that comes after a start, when nothing but its flush has ended", async () => {
    const test = await createTestLog();
    test.log.append(batchAt(3), { gaps: true });
    await test.log.flushed(at(4));
    test.disk.powerCut();
    await test.reopen();
    expect([test.log.logEndOffset, test.starts.at(-1)?.tornBytes]).toEqual([at(4), 0]);
  });

  it("with flush=async may be gone below the high watermark, which is not noted before it is durable", async () => {
    const test = await threeFlushed();
    test.log.configure({ ...defaultLogSettings, flush: "async" });
    await test.flush(batchAt(3), batchAt(4));
    test.log.setHighWatermark(at(5));
    await settled(test);
    test.disk.powerCut();
    await test.reopen();
    expect([test.log.status.kind, test.log.logEndOffset]).toEqual(["online", at(3)]);
  });
});

describe("a torn tail of many megabytes", () => {
  it("is kept aside whole", async () => {
    const test = await threeFlushed();
    test.disk.kill();
    const torn = Buffer.alloc(9 * 1024 * 1024, "no batch ");
    test.disk.put(logFile, Buffer.concat([test.disk.peek(logFile)!, torn]));
    await test.reopen();
    await test.flush(batchAt(3));
    const kept = (await namesOf(test)).filter((name) => name.endsWith(".torn"));
    expect(kept.map((name) => Buffer.compare(torn, test.disk.peek(`/data/log/${name}`)!))).toEqual([0]);
  });
});
