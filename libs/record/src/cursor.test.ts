import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { createCursor, readVarint, readVarlong } from "./cursor.ts";
import { fromHex } from "./testing/vectors.ts";
import { toVarlong, writeVarint, writeVarlong } from "./varint.ts";

fc.configureGlobal({ seed: 1 });

const int32Max = 2 ** 31 - 1;
const int64Max = 2n ** 63n - 1n;
const extremes64 = [0n, -1n, 2n ** 31n, -(2n ** 31n) - 1n, 2n ** 53n + 1n, int64Max, -int64Max - 1n];

function both(hex: string) {
  const narrow = createCursor(fromHex(hex));
  const wide = createCursor(fromHex(hex));
  return { varint: readVarint(narrow), varlong: readVarlong(wide), narrow, wide };
}

describe("reading zigzag varints", () => {
  test("gives back every int32 that was written", () => {
    fc.assert(
      fc.property(fc.integer({ min: -int32Max - 1, max: int32Max }), (value) => {
        const cursor = createCursor(new Uint8Array(6));
        const end = writeVarint(cursor.bytes, 0, value);
        expect([readVarint(cursor), cursor.position, cursor.damage]).toEqual([value, end, undefined]);
      }),
    );
  });

  test("gives back every int64 that was written", () => {
    const int64 = fc.oneof(fc.bigInt({ min: -int64Max - 1n, max: int64Max }), fc.constantFrom(...extremes64));
    fc.assert(
      fc.property(int64, (value) => {
        const cursor = createCursor(new Uint8Array(11));
        const end = writeVarlong(cursor.bytes, 0, toVarlong(value));
        expect([BigInt(readVarlong(cursor)), cursor.position, cursor.damage]).toEqual([value, end, undefined]);
      }),
    );
  });

  it("takes forms that are longer than needed, as Kafka does", () => {
    expect(both("82808000")).toMatchObject({ varint: 1, varlong: 1 });
    expect(both("8280808000")).toMatchObject({ varint: 1, varlong: 1n });
  });

  test.each(["", "80", "808080", "80808080"])("calls it truncated when the bytes end within it: %s", (hex) => {
    const { narrow, wide } = both(hex);
    expect([narrow.damage, wide.damage]).toEqual(["truncated", "truncated"]);
  });

  test.each([
    ["a fifth byte with more than four bits", "ffffffff10"],
    ["a fifth byte that says that more follow", "8080808080"],
  ])("refuses %s in an int32", (_, hex) => {
    expect(both(hex).narrow.damage).toBe("malformedVarint");
  });

  test.each([
    ["a tenth byte with more than one bit", "ffffffffffffffffff02"],
    ["a tenth byte that says that more follow", "80808080808080808080"],
  ])("refuses %s in an int64", (_, hex) => {
    expect(both(hex).wide.damage).toBe("malformedVarint");
  });

  it("keeps the first damage and does not move after it", () => {
    const cursor = createCursor(fromHex("ffffffff10 02 02"));
    expect([readVarint(cursor), readVarint(cursor), readVarlong(cursor)]).toEqual([0, 0, 0]);
    expect(cursor).toMatchObject({ damage: "malformedVarint", position: 5 });
  });
});
