import { batchHeaderBytes, readBatchHeader } from "@tidemark/record";
import { describe, expect, it } from "vitest";
import { createSegmentIndex } from "../index/segment-index.ts";
import { createSegment } from "../segment/segment.ts";
import { defaultLogSettings } from "../settings.ts";
import { at, batchAt } from "../testing/fixture.ts";
import { takeGroup } from "./queue.ts";

describe("a group of batches", () => {
  it("takes as many small ones as fit into its bytes", () => {
    const found = readBatchHeader(batchAt(0));
    if (found.kind !== "ok") throw new Error("No batch");
    const { header } = found;
    const count = 137_000;
    const headers = Array.from({ length: count }, (_, index) => ({
      ...header,
      position: index * batchHeaderBytes,
      sizeInBytes: batchHeaderBytes,
      baseOffset: at(index),
    }));
    const queue = [{ bytes: new Uint8Array(count * batchHeaderBytes), headers, mayKeep: false }];
    const active = { segment: createSegment("/data/log", at(0)), index: createSegmentIndex(at(0)) };
    const group = takeGroup(queue, active, defaultLogSettings);
    expect([group?.headers.length, group?.nextOffset, queue.length]).toEqual([count, at(count), 0]);
  });
});
