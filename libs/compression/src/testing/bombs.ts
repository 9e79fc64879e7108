/**
 * A few kilobytes that decompress to 256 MiB of zeros, put together by hand: to compress so much would take the very
 * memory whose use the tests watch.
 */
import { gzipSync } from "node:zlib";

const bombBytes = 256 * 1024 * 1024;

const zeros = (length: number) => new Uint8Array(length);
const repeated = (piece: Uint8Array, pieceGives: number) => Array<Uint8Array>(bombBytes / pieceGives).fill(piece);

/** Members of a megabyte each; readers join them. */
export function gzipBomb(): Uint8Array {
  const member = gzipSync(zeros(1024 * 1024));
  return Buffer.concat(repeated(member, 1024 * 1024));
}

/** One frame of blocks of 4 MiB each: a literal, a match that runs on, five literals to end with. */
export function lz4Bomb(): Uint8Array {
  const blockGives = 4 * 1024 * 1024;
  const matchBytes = blockGives - 1 - 5;
  const more = matchBytes - 4 - 15;
  const block = Buffer.from([
    0x1f,
    0,
    1,
    0,
    ...Array<number>(Math.floor(more / 255)).fill(255),
    more % 255,
    0x50,
    0,
    0,
    0,
    0,
    0,
  ]);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(block.length);
  const header = Buffer.from("04224d18607073", "hex");
  return Buffer.concat([header, ...repeated(Buffer.concat([size, block]), blockGives), zeros(4)]);
}

/** One frame, window 128 KiB, of blocks that each say: this byte, 128 Ki times. */
export function zstdBomb(): Uint8Array {
  const blockGives = 128 * 1024;
  const block = Buffer.from([(blockGives << 3) | 2, (blockGives << 3) >> 8, (blockGives << 3) >> 16, 0]);
  const last = Buffer.from([3, 0, 0, 0]);
  return Buffer.concat([Buffer.from("28b52ffd0038", "hex"), ...repeated(block, blockGives), last]);
}
