import { describe, expect, it } from "vitest";
import { createFlushTracker } from "./flush-tracker.ts";
import { logIndex } from "./ids.ts";

describe("what is flushed", () => {
  it("moves with the acknowledgement of a write, and of all before it", () => {
    const flush = createFlushTracker(logIndex(2));
    flush.written(1, logIndex(4));
    flush.written(2, logIndex(6));
    expect(flush.flushed()).toBe(2);
    flush.acknowledged(2);
    expect(flush.flushed()).toBe(6);
  });

  it("does not count an index that was rewritten while its flush was out", () => {
    const flush = createFlushTracker(logIndex(2));
    flush.written(1, logIndex(5));
    flush.cutFrom(logIndex(4));
    flush.written(2, logIndex(4));
    flush.acknowledged(1);
    expect(flush.flushed()).toBe(3);
    flush.acknowledged(2);
    expect(flush.flushed()).toBe(4);
  });

  it("does not take the first writing for the third, which is the same entry again", () => {
    const flush = createFlushTracker(logIndex(2));
    flush.written(1, logIndex(3));
    flush.cutFrom(logIndex(3));
    flush.written(2, logIndex(3));
    flush.cutFrom(logIndex(3));
    flush.written(3, logIndex(3));
    flush.acknowledged(1);
    flush.acknowledged(2);
    expect(flush.flushed()).toBe(2);
    flush.acknowledged(3);
    expect(flush.flushed()).toBe(3);
  });

  it("goes back when what was flushed is cut", () => {
    const flush = createFlushTracker(logIndex(5));
    flush.cutFrom(logIndex(4));
    expect(flush.flushed()).toBe(3);
  });

  it("begins anew with a log that replaces everything", () => {
    const flush = createFlushTracker(logIndex(5));
    flush.written(1, logIndex(6));
    flush.reset();
    flush.written(2, logIndex(9));
    flush.acknowledged(1);
    expect(flush.flushed()).toBe(0);
    flush.acknowledged(2);
    expect(flush.flushed()).toBe(9);
  });
});
