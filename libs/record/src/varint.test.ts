import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "./testing/vectors.ts";
import { toVarlong, varintSize, varlongSize, writeVarint, writeVarlong } from "./varint.ts";

fc.configureGlobal({ seed: 1 });

const int32Max = 2 ** 31 - 1;
const int64Max = 2n ** 63n - 1n;

function varlong(value: bigint): string {
  const bytes = new Uint8Array(10);
  return toHex(bytes.subarray(0, writeVarlong(bytes, 0, toVarlong(value))));
}

describe("zigzag varints", () => {
  test.each([
    [0n, "00"],
    [-1n, "01"],
    [1n, "02"],
    [63n, "7e"],
    [-64n, "7f"],
    [64n, "8001"],
    [-65n, "8101"],
    [8191n, "fe7f"],
    [8192n, "808001"],
    [2n ** 31n - 1n, "feffffff0f"],
    [-(2n ** 31n), "ffffffff0f"],
    [2n ** 31n, "8080808010"],
    [int64Max, "feffffffffffffffff01"],
    [-int64Max - 1n, "ffffffffffffffffff01"],
  ])("write %s as %s", (value, hex) => {
    expect(varlong(value)).toBe(hex);
    expect(varlongSize(toVarlong(value))).toBe(fromHex(hex).length);
  });

  test("of an int32 look the same in both widths, and take the size that was foretold", () => {
    fc.assert(
      fc.property(fc.integer({ min: -int32Max - 1, max: int32Max }), (value) => {
        const bytes = new Uint8Array(10);
        const end = writeVarint(bytes, 0, value);
        expect(toHex(bytes.subarray(0, end))).toBe(varlong(BigInt(value)));
        expect(varintSize(value)).toBe(end);
      }),
    );
  });

  test("of an int64 take the size that was foretold", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -int64Max - 1n, max: int64Max }), (value) => {
        expect(varlongSize(toVarlong(value))).toBe(varlong(value).length / 2);
      }),
    );
  });
});
