import { describe, expect, it } from "vitest";
import { defaultLogSettings } from "../settings.ts";
import { at, batchAt, logFile, namesOf, settled, threeFlushed } from "../testing/fixture.ts";

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
