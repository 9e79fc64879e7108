/** What is interrupted half way, by a full disk or by the log's end, and must not be gone on with as if it had not begun. */
import { keepAll } from "@tidemark/disk";
import { describe, expect, it } from "vitest";
import { defaultCompactionSettings } from "./settings.ts";
import { at, batchAt, contentOf, createTestLog } from "./testing/fixture.ts";

const logFile = "/data/log/00000000000000000000.log";

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

describe("a tail that is written anew", () => {
  it("is still there after the disk refused the rename that gives it its name, which is the directory's end", async () => {
    const test = await createTestLog();
    await test.flush(batchAt(0));
    await test.time.advance(2000);
    test.faulty.plan(({ kind, path }) => (kind === "sync" && path === logFile ? { kind: "hang", ms: 1e9 } : undefined));
    test.log.append(batchAt(1));
    await test.time.advance(10);
    test.disk.powerCut(keepAll);
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
    expect((await test.disk.list("/data/log")).filter(({ name }) => name.includes("swap"))).toEqual([]);
  });
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
