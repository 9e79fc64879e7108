import { describe, expect, it, test } from "vitest";
import { iterateBatches } from "./iterate-batches.ts";
import { fromHex, kafkaVectors } from "./testing/vectors.ts";

const batches = kafkaVectors.map(({ hex }) => fromHex(hex));
const together = fromHex(kafkaVectors.map(({ hex }) => hex).join(""));
const lastLength = batches.at(-1)!.length;
const lastAt = together.length - lastLength;

const stopOf = (bytes: Uint8Array, position?: number) => [...iterateBatches(bytes, position)].at(-1);

describe("iterating over batches", () => {
  it("finds each one behind the other and says that it came to the end", () => {
    const steps = [...iterateBatches(together)];
    const sizes = steps.map((step) => (step.kind === "ok" ? step.header.sizeInBytes : step.kind));
    expect(sizes).toEqual([...batches.map(({ length }) => length), "end"]);
    expect(steps.at(-1)).toEqual({ kind: "end", position: together.length });
  });

  it("says end at once where there is nothing", () => {
    expect([...iterateBatches(new Uint8Array())]).toEqual([{ kind: "end", position: 0 }]);
  });

  it("begins where it is told", () => {
    expect([...iterateBatches(together, lastAt)].map(({ kind }) => kind)).toEqual(["ok", "end"]);
  });

  test.each([1, 16, 60, 61, lastLength - 1])("stops at the last whole batch when %i bytes of one follow", (length) => {
    const stop = stopOf(together.subarray(0, lastAt + length));
    expect(stop).toMatchObject({ kind: "incomplete", position: lastAt });
  });

  it("stops at bytes that are no batch, as a tail of zeros", () => {
    const bytes = new Uint8Array(together.length + 4096);
    bytes.set(together);
    expect(stopOf(bytes)).toEqual({ kind: "malformed", position: together.length, reason: "lengthBelowHeader" });
  });
});
