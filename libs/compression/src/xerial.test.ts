import { compressSync } from "snappy";
import { describe, expect, it, test } from "vitest";
import { loadSnappy } from "./snappy.ts";

const snappy = await loadSnappy();
const content = Uint8Array.from({ length: 100_000 }, (_, index) => index % 251);
const header = Buffer.from("82534e41505059000000000100000001", "hex");

/** A framed block of this length field and these bytes. */
function block(length: number, ...bytes: number[]): Buffer {
  const framed = Buffer.alloc(4 + bytes.length);
  framed.writeInt32BE(length);
  framed.set(bytes, 4);
  return framed;
}

describe("snappy", () => {
  it("is written in blocks of 32 KiB behind the header that Kafka's clients write", () => {
    const framed = Buffer.from(snappy.compress(content));
    expect(framed.subarray(0, 16)).toEqual(header);
    const sizes: number[] = [];
    for (let position = 16; position < framed.length; position += 4 + framed.readInt32BE(position)) {
      sizes.push(declared(framed.subarray(position + 4)));
    }
    expect(sizes).toEqual([32768, 32768, 32768, 1696]);
  });

  it("is read as one raw block too", () => {
    expect(snappy.decompress(compressSync(content), content.length)).toEqual({ kind: "ok", bytes: content });
    expect(snappy.decompress(compressSync(content), content.length - 1)).toEqual({ kind: "tooLarge" });
  });

  it("is read when it holds nothing", () => {
    expect(snappy.decompress(header, 1)).toEqual({ kind: "ok", bytes: new Uint8Array() });
  });

  test.each([
    ["a length that is cut", Buffer.concat([header, Buffer.alloc(3)])],
    ["a length of 0", Buffer.concat([header, block(0)])],
    ["a length below 0", Buffer.concat([header, block(-5, 1, 2, 3)])],
    ["a length that leads back before the beginning", Buffer.concat([header, block(-21, 3, 8, 97, 98, 99, 0)])],
    ["a block that is cut", Buffer.concat([header, block(4, 3, 8, 97)])],
    ["a whole block where a longer one is due", Buffer.concat([header, block(6, 3, 8, 97, 98, 99)])],
    ["a size that never ends", Buffer.concat([header, block(6, 128, 128, 128, 128, 128, 1)])],
    ["a size beyond 32 bits", Buffer.from([255, 255, 255, 255, 31])],
    ["less content than it declares", Buffer.concat([header, block(3, 3, 0, 97)])],
  ])("is refused with %s", (_, bytes) => {
    expect(snappy.decompress(bytes, 1000)).toEqual({ kind: "corrupt" });
  });

  it("is taken for a raw block when there is not a whole header", () => {
    expect(snappy.decompress(header.subarray(0, 15), 100_000)).toEqual({ kind: "corrupt" });
  });

  it("counts all blocks together against the limit, before it decompresses one", () => {
    const lying = Buffer.concat([header, block(2, 100, 0), block(2, 100, 0)]);
    expect(snappy.decompress(lying, 199)).toEqual({ kind: "tooLarge" });
    expect(snappy.decompress(lying, 200)).toEqual({ kind: "corrupt" });
  });
});

function declared(bytes: Uint8Array): number {
  let size = 0;
  for (const [index, byte] of bytes.entries()) {
    size += (byte & 0x7f) << (7 * index);
    if (byte < 0x80) break;
  }
  return size;
}
