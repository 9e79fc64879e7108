import { describe, expect, it } from "vitest";
import { createSegment } from "../segment/segment.ts";
import { at, logDirectory } from "../testing/fixture.ts";
import { createCursors, cursorAt, rememberCursor, renewCursors } from "./cursors.ts";

const segment = createSegment(logDirectory, at(0));
const endedAt = (offset: number, generation = 0) => ({
  generation,
  offset: at(offset),
  segment,
  position: 100 * offset,
  maxBytes: 100,
});

describe("where reads ended", () => {
  it("is known of sixteen, the latest, and the others lose what was read ahead for them", () => {
    const cursors = createCursors();
    const dropped: number[] = [];
    for (let offset = 0; offset < 16; offset++) {
      const cursor = rememberCursor(cursors, endedAt(offset));
      cursor?.ahead.push({
        position: 0,
        length: 1,
        take: () => Promise.resolve(undefined),
        drop: () => dropped.push(offset),
      });
    }
    rememberCursor(cursors, endedAt(0));
    rememberCursor(cursors, endedAt(16));
    rememberCursor(cursors, endedAt(17));
    expect(dropped).toEqual([1, 2]);
    const known = Array.from({ length: 18 }, (_, offset) => offset).filter(
      (offset) => cursorAt(cursors, segment, at(offset)) !== undefined,
    );
    expect(known).toEqual([0, ...Array.from({ length: 15 }, (_, index) => 3 + index)]);
  });

  it("is not taken down by a read that began before a cut, when others read what is there since", () => {
    const cursors = createCursors();
    renewCursors(cursors, 1);
    expect(rememberCursor(cursors, endedAt(3, 0))).toBeUndefined();
    expect(cursorAt(cursors, segment, at(3))).toBeUndefined();
  });
});
