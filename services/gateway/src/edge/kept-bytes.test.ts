import { describe, expect, it } from "vitest";
import { createKeptBytes } from "./kept-bytes.ts";

const bytesOf = (length: number) => Buffer.from(Uint8Array.from({ length }, (_, at) => (at * 7) % 251));

describe("bytes that are kept", () => {
  it.each([1, 5, 63, 64, 65, 4096, 16_383, 16_384, 100_000])(
    "are taken as they came in pieces of %i, also a part at a time",
    (pieceBytes) => {
      const bytes = bytesOf(200_000);
      const kept = createKeptBytes();
      const taken: Buffer[] = [];
      for (let from = 0; from < bytes.length; from += pieceBytes) {
        kept.add(bytes.subarray(from, from + pieceBytes));
        if (kept.length > 50_000) taken.push(Buffer.from(kept.take(33_333)));
      }
      taken.push(Buffer.from(kept.takeAll()));
      expect(Buffer.concat(taken).equals(bytes)).toBe(true);
      expect(kept.length).toBe(0);
    },
  );

  it("are taken in their order where small and large pieces come by turns", () => {
    const kept = createKeptBytes();
    const pieces = [3, 20_000, 1, 1, 30_000, 16_383, 2].map(bytesOf);
    for (const piece of pieces) kept.add(piece);
    expect(kept.takeAll().equals(Buffer.concat(pieces))).toBe(true);
  });

  it("do not change what was taken when more comes", () => {
    const kept = createKeptBytes();
    kept.add(bytesOf(10));
    const first = kept.take(4);
    kept.add(bytesOf(10));
    const before = Buffer.from(first);
    kept.add(bytesOf(1000));
    expect(first).toEqual(before);
    expect(kept.takeAll().equals(Buffer.concat([bytesOf(10).subarray(4), bytesOf(10), bytesOf(1000)]))).toBe(true);
  });

  it("hold nothing of the buffers that small pieces were cut from, which the connection fills anew or gives back", () => {
    const kept = createKeptBytes();
    const buffer = bytesOf(65_536);
    for (let at = 0; at < 1000; at++) kept.add(buffer.subarray(at, at + 1));
    const expected = Buffer.from(buffer.subarray(0, 1000));
    buffer.fill(0);
    expect(kept.takeAll().equals(expected)).toBe(true);
  });
});
