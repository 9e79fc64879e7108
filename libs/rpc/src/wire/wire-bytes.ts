/**
 * One encoded message on its way out: what the transport asks of a Buffer, and no more. A message whose big part lies
 * elsewhere can so be put behind the frame's prefix in one copy.
 */
export interface WireBytes {
  /** Bytes of the encoded message. */
  readonly length: number;
  /** The same as `length`. */
  readonly byteLength: number;
  /** Writes the encoded message into `target` from `targetStart` on. Returns how many bytes were written. */
  copy(target: Uint8Array, targetStart?: number): number;
}

/** `bytes` as a Buffer over the same memory. */
export function bufferOver(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Several pieces as one message, without putting them together first. */
export function gather(pieces: readonly Uint8Array[]): WireBytes {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  return {
    length,
    byteLength: length,
    copy(target, targetStart = 0) {
      let position = targetStart;
      for (const piece of pieces) {
        target.set(piece, position);
        position += piece.length;
      }
      return length;
    },
  };
}

/** The encoded message in one Buffer of its own. */
export function flatten(bytes: WireBytes): Buffer {
  const flat = Buffer.allocUnsafe(bytes.length);
  bytes.copy(flat, 0);
  return flat;
}
