/**
 * The framing that Kafka's clients put around snappy, which has none of its own: 16 bytes of header, then blocks of a
 * big-endian int32 length and that many bytes of raw snappy. Its author's name is what the framing is called by.
 */

/** The magic of eight bytes, then version 1, compatible with version 1. */
const header = Uint8Array.of(0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1);
const magicBytes = 8;

/** Before compression, as Kafka's writers make them. */
const blockBytes = 32 * 1024;

export function isXerial(bytes: Uint8Array): boolean {
  return bytes.length >= header.length && header.subarray(0, magicBytes).every((byte, index) => byte === bytes[index]);
}

/** Frames `bytes`, each block through `compress`. */
export function toXerial(bytes: Uint8Array, compress: (block: Uint8Array) => Uint8Array): Uint8Array {
  const blocks: Uint8Array[] = [];
  let size = header.length;
  for (let position = 0; position < bytes.length; position += blockBytes) {
    const block = compress(bytes.subarray(position, position + blockBytes));
    blocks.push(block);
    size += 4 + block.length;
  }
  const framed = new Uint8Array(size);
  const view = new DataView(framed.buffer);
  framed.set(header);
  let position = header.length;
  for (const block of blocks) {
    view.setInt32(position, block.length);
    framed.set(block, position + 4);
    position += 4 + block.length;
  }
  return framed;
}

export type SnappyBlocks =
  | { readonly kind: "ok"; readonly blocks: readonly Uint8Array[]; readonly size: number }
  | { readonly kind: "tooLarge" }
  | { readonly kind: "corrupt" };

/** The blocks of framed bytes, with the size that they declare together. */
export function xerialBlocks(bytes: Uint8Array, maxBytes: number): SnappyBlocks {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const blocks: Uint8Array[] = [];
  let size = 0;
  let position = header.length;
  while (position < bytes.length) {
    if (position + 4 > bytes.length) return { kind: "corrupt" };
    const length = view.getInt32(position);
    position += 4;
    if (length < 0 || length > bytes.length - position) return { kind: "corrupt" };
    const block = bytes.subarray(position, position + length);
    const declared = declaredSize(block);
    if (declared === undefined) return { kind: "corrupt" };
    size += declared;
    if (size > maxBytes) return { kind: "tooLarge" };
    blocks.push(block);
    position += length;
  }
  return { kind: "ok", blocks, size };
}

/** The size that a raw block of snappy begins with, a varint of 32 bits. Undefined when it does not. */
export function declaredSize(block: Uint8Array): number | undefined {
  let size = 0;
  for (let index = 0; index < 5; index++) {
    const byte = block[index];
    if (byte === undefined) return undefined;
    size += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return size < 2 ** 32 ? size : undefined;
  }
  return undefined;
}
