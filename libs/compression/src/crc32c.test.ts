import { portableCrc32c } from "@tidemark/record";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { chooseCrc32c, crc32c } from "./crc32c.ts";

fc.configureGlobal({ seed: 1 });

describe("CRC-32C", () => {
  it("is the same natively and without native code, in one piece and in two", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), (bytes, cut) => {
        expect(crc32c(bytes)).toBe(portableCrc32c(bytes));
        expect(crc32c(bytes.subarray(cut), crc32c(bytes.subarray(0, cut)))).toBe(portableCrc32c(bytes));
      }),
    );
  });

  it("goes without native code where none loads", () => {
    const chosen = chooseCrc32c(() => {
      throw new Error("no binary for this platform");
    });
    expect(chosen).toBe(portableCrc32c);
  });
});
