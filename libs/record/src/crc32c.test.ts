import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { portableCrc32c } from "./crc32c.ts";

fc.configureGlobal({ seed: 1 });

describe("CRC-32C without native code", () => {
  // RFC 3720, appendix B.4.
  test.each([
    ["32 bytes of zeros", new Uint8Array(32), 0x8a9136aa],
    ["32 bytes of ones", new Uint8Array(32).fill(0xff), 0x62a8ab43],
    ["32 bytes rising", Uint8Array.from({ length: 32 }, (_, index) => index), 0x46dd794e],
    ["32 bytes falling", Uint8Array.from({ length: 32 }, (_, index) => 31 - index), 0x113fdb5c],
    ["no bytes", new Uint8Array(0), 0],
  ])("gives the published value of %s", (_, bytes, crc) => {
    expect(portableCrc32c(bytes)).toBe(crc);
  });

  test("continues over pieces, wherever they are cut", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(60), (bytes, cut) => {
        const first = portableCrc32c(bytes.subarray(0, cut));
        expect(portableCrc32c(bytes.subarray(cut), first)).toBe(portableCrc32c(bytes));
      }),
    );
  });
});
