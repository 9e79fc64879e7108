/** What is interrupted half way, by a full disk or by the log's end, and must not be gone on with as if it had not begun. */
import { describe, expect, it } from "vitest";
import { at, batchAt, createTestLog } from "./testing/fixture.ts";

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
