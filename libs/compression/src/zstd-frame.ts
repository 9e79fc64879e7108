/**
 * Zstandard frames (RFC 8878), read only as far as their size goes: a decompressor takes memory for the window that a
 * frame names and the size that it declares before it reads a block.
 */
export type ZstdFrame =
  | {
      readonly kind: "ok";
      /** What comes out, in bytes: exactly this when the frame declares it, otherwise at most this. */
      readonly sizeMax: number;
    }
  /** The content, or the window that the decompressor would have to keep. */
  | { readonly kind: "tooLarge" }
  | { readonly kind: "corrupt" };

const magic = 0xfd2fb528;
/** What every decoder is asked to support and no encoder to go beyond (RFC 8878, 3.1.1.1.2). Kafka's needs 2 MiB. */
const windowBytesMax = 8 * 1024 * 1024;
const blockBytesMax = 128 * 1024;
const dictionaryIdBytes = [0, 1, 2, 4] as const;

const corrupt: ZstdFrame = { kind: "corrupt" };
const tooLarge: ZstdFrame = { kind: "tooLarge" };

/** Reads the one frame that `bytes` must be. Frames that need a dictionary, several and skippable ones are refused. */
export function readZstdFrame(bytes: Uint8Array, maxBytes: number): ZstdFrame {
  const header = readHeader(bytes);
  if (header === undefined) return corrupt;
  if (header.windowBytes > windowBytesMax && !header.isSingleSegment) return tooLarge;
  const sizeMax = sizeOfBlocks(bytes, header);
  if (sizeMax === undefined) return corrupt;
  const { contentBytes } = header;
  if (contentBytes === undefined) return { kind: "ok", sizeMax: Math.min(sizeMax, maxBytes) };
  if (contentBytes > sizeMax) return corrupt;
  return contentBytes > maxBytes ? tooLarge : { kind: "ok", sizeMax: contentBytes };
}

interface ZstdHeader {
  readonly isSingleSegment: boolean;
  readonly hasChecksum: boolean;
  readonly windowBytes: number;
  /** Undefined when the frame does not declare it. Beyond 2^53 it is not exact, and too large for anybody. */
  readonly contentBytes: number | undefined;
  /** Where the first block begins. */
  readonly end: number;
}

function readHeader(bytes: Uint8Array): ZstdHeader | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 5 || view.getUint32(0, true) !== magic) return undefined;
  const descriptor = view.getUint8(4);
  const isReserved = (descriptor & 0x08) !== 0;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const dictionaryBytes = dictionaryIdBytes[descriptor & 3];
  if (isReserved || dictionaryBytes !== 0) return undefined;
  const sizeFlag = descriptor >> 6;
  const sizeBytes = sizeFlag === 0 ? Number(isSingleSegment) : 2 ** sizeFlag;
  const sizeAt = isSingleSegment ? 5 : 6;
  const end = sizeAt + sizeBytes;
  if (end > bytes.length) return undefined;
  const contentBytes = readContentBytes(view, sizeAt, sizeBytes);
  const windowBytes = isSingleSegment ? (contentBytes ?? 0) : windowOf(view.getUint8(5));
  return { isSingleSegment, hasChecksum: (descriptor & 0x04) !== 0, windowBytes, contentBytes, end };
}

/** Five bits of exponent, from 1 KiB on, and three of eighths. */
function windowOf(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

function readContentBytes(view: DataView, position: number, sizeBytes: number): number | undefined {
  switch (sizeBytes) {
    case 1:
      return view.getUint8(position);
    case 2:
      return view.getUint16(position, true) + 256;
    case 4:
      return view.getUint32(position, true);
    case 8:
      return Number(view.getBigUint64(position, true));
    default:
      return undefined;
  }
}

/** At most what the blocks give together; undefined unless they end exactly where the bytes do. */
function sizeOfBlocks(bytes: Uint8Array, header: ZstdHeader): number | undefined {
  const givenMax = Math.min(blockBytesMax, header.windowBytes);
  const checksumBytes = header.hasChecksum ? 4 : 0;
  let position = header.end;
  let total = 0;
  for (let isLast = false; !isLast; ) {
    if (position + 3 > bytes.length) return undefined;
    const block = (bytes[position] ?? 0) | ((bytes[position + 1] ?? 0) << 8) | ((bytes[position + 2] ?? 0) << 16);
    isLast = (block & 1) !== 0;
    const size = block >> 3;
    if (size > givenMax) return undefined;
    position += 3;
    switch ((block >> 1) & 3) {
      case 0: // Stored.
        total += size;
        position += size;
        break;
      case 1: // One byte, repeated.
        total += size;
        position += 1;
        break;
      case 2: // Compressed.
        total += givenMax;
        position += size;
        break;
      default:
        return undefined;
    }
  }
  return position + checksumBytes === bytes.length ? total : undefined;
}
