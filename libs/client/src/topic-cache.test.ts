import { createManualTime } from "@tidemark/runtime";
import { describe, expect, test } from "vitest";
import { createTopicCache } from "./topic-cache.ts";

function setUp() {
  const time = createManualTime();
  const asked: string[] = [];
  const down = { is: false };
  let partitions = 3;
  const cache = createTopicCache(async (topic) => {
    asked.push(topic);
    if (topic === "missing" || down.is) throw new Error("no such topic");
    return { topicId: "id", partitions };
  }, time.clock);
  return { time, asked, cache, down, grow: () => partitions++ };
}

describe("facts about topics", () => {
  test("are asked for once by callers at the same time", async () => {
    const { cache, asked } = setUp();
    await Promise.all([cache.describe("t"), cache.describe("t"), cache.describe("u")]);
    expect(asked).toEqual(["t", "u"]);
  });

  test("are asked for anew after a minute, while the old answer serves", async () => {
    const { cache, asked, time, grow } = setUp();
    await cache.describe("t");
    grow();
    await time.advance(61_000);
    expect(cache.known("t")?.partitions).toBe(3);
    await time.advance(0);
    expect(cache.known("t")?.partitions).toBe(4);
    expect(asked).toHaveLength(2);
  });

  test("are not kept of a question that failed", async () => {
    const { cache, asked } = setUp();
    await expect(cache.describe("missing")).rejects.toThrow("no such topic");
    await expect(cache.describe("missing")).rejects.toThrow("no such topic");
    expect(asked).toHaveLength(2);
    expect(cache.known("missing")).toBeUndefined();
  });

  test("are asked for anew soon where there is a doubt, also where doubts go on, and less often afterwards", async () => {
    const { cache, asked, time } = setUp();
    await cache.describe("t");
    for (let second = 0; second < 30; second++) {
      if (second < 3) cache.doubt("t");
      cache.known("t");
      await time.advance(1000);
    }
    // At once, then 2, 4 and 8 seconds after each other; the one that comes 16 seconds later is still to come.
    expect(asked).toHaveLength(4);
  });

  test("are not asked for again at once where the question failed, however often they are needed", async () => {
    const { cache, time, asked, down } = setUp();
    await cache.describe("t");
    await time.advance(60_000);
    down.is = true;
    for (let record = 0; record < 20; record++) {
      cache.known("t");
      await time.advance(10);
    }
    expect(asked).toHaveLength(2);
    await time.advance(1000);
    cache.known("t");
    expect(asked).toHaveLength(3);
  });
});
