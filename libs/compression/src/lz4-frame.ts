/**
 * LZ4 frames, read only as far as their size goes: the library that decompresses them has no limit to give.
 *
 * | part          | bytes | content                                                                           |
 * |---------------|-------|-----------------------------------------------------------------------------------|
 * | magic         | 4     | 0x184D2204                                                                        |
 * | flags         | 1     | version (2 bits, 01), independent blocks, block checksums, content size, content checksum, reserved, dictionary id |
 * | block maximum | 1     | bits 4-6: 4 is 64 KiB, 5 256 KiB, 6 1 MiB, 7 4 MiB                                |
 * | content size  | 0, 8  |                                                                                   |
 * | header check  | 1     |                                                                                   |
 * | blocks        |       | 4 bytes of size, its highest bit set when stored as it is; the bytes; 0, 4 checksum |
 * | end           | 4     | 0                                                                                 |
 * | content check | 0, 4  |                                                                                   |
 *
 * Every number is little-endian.
 */

/** What all blocks together give: exact for what a writer makes, and never less than what a reader would allocate. */
export type FrameSize =
  | { readonly kind: "ok"; readonly bytes: number }
  | { readonly kind: "tooLarge" }
  | { readonly kind: "corrupt" };

const magic = 0x184d2204;
const headerBytesMin = 7;
const flag = {
  version: 0xc0,
  version1: 0x40,
  independent: 0x20,
  blockCheck: 0x10,
  size: 0x08,
  check: 0x04,
  reserved: 0x02,
  dictionary: 0x01,
};
const storedBit = 0x8000_0000;

const corrupt: FrameSize = { kind: "corrupt" };

/**
 * The decompressed size of the one frame that `bytes` must be. Like Kafka's readers it refuses blocks that depend on
 * each other and dictionaries; checksums are left to the library.
 */
export function lz4FrameSize(bytes: Uint8Array, maxBytes: number): FrameSize {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < headerBytesMin || view.getUint32(0, true) !== magic) return corrupt;
  const flags = view.getUint8(4);
  const mustBe = flag.version1 | flag.independent;
  if ((flags & (flag.version | flag.independent | flag.reserved | flag.dictionary)) !== mustBe) return corrupt;
  const blockBytesMax = blockMaximum(view.getUint8(5));
  if (blockBytesMax === undefined) return corrupt;
  const hasBlockCheck = (flags & flag.blockCheck) !== 0;
  const tailBytes = (flags & flag.check) === 0 ? 0 : 4;
  let position = headerBytesMin + ((flags & flag.size) === 0 ? 0 : 8);
  let total = 0;
  for (;;) {
    if (position + 4 > bytes.length) return corrupt;
    const size = view.getUint32(position, true);
    position += 4;
    if (size === 0) break;
    const end = position + (size & ~storedBit);
    if (end > bytes.length) return corrupt;
    const given = size >= storedBit ? end - position : blockSize(bytes, position, end);
    if (given === undefined || given > blockBytesMax) return corrupt;
    total += given;
    if (total > maxBytes) return { kind: "tooLarge" };
    position = end + (hasBlockCheck ? 4 : 0);
  }
  return position + tailBytes === bytes.length ? { kind: "ok", bytes: total } : corrupt;
}

function blockMaximum(descriptor: number): number | undefined {
  const id = (descriptor >> 4) & 7;
  return id < 4 || (descriptor & 0x8f) !== 0 ? undefined : 2 ** (8 + 2 * id);
}

/**
 * What one block gives. It is a chain of literals and matches: a token with both lengths, four bits each, of which 15
 * goes on in further bytes; the literals; two bytes that say where the match is, unless the block ends there. A match
 * is four bytes longer than it says. Undefined when the chain does not end where the block does.
 */
function blockSize(bytes: Uint8Array, start: number, end: number): number | undefined {
  let position = start;
  let size = 0;
  while (position < end) {
    const token = bytes[position++] ?? 0;
    let literals = token >> 4;
    if (literals === 15) {
      let more = 255;
      while (more === 255 && position < end) literals += more = bytes[position++] ?? 0;
    }
    position += literals;
    size += literals;
    if (position === end) return size;
    let match = token & 15;
    position += 2;
    if (match === 15) {
      let more = 255;
      while (more === 255 && position < end) match += more = bytes[position++] ?? 0;
    }
    size += match + 4;
  }
  return undefined;
}
