/** The content of a file in memory. Grows by doubling. */
export interface Bytes {
  data: Uint8Array;
  length: number;
}

export function emptyBytes(): Bytes {
  return { data: new Uint8Array(0), length: 0 };
}

export function copyBytes(bytes: Bytes): Bytes {
  return { data: bytes.data.slice(0, bytes.length), length: bytes.length };
}

/** Writes `chunk` at `position`; a gap before it reads as zeros. */
export function writeBytes(bytes: Bytes, position: number, chunk: Uint8Array): void {
  const end = position + chunk.length;
  resizeBytes(bytes, Math.max(bytes.length, end));
  bytes.data.set(chunk, position);
}

/** Cuts, or extends with zeros. */
export function resizeBytes(bytes: Bytes, size: number): void {
  if (size > bytes.data.length) {
    const grown = new Uint8Array(Math.max(size, bytes.data.length * 2, 64));
    grown.set(bytes.data.subarray(0, bytes.length));
    bytes.data = grown;
  }
  if (size < bytes.length) bytes.data.fill(0, size, bytes.length);
  bytes.length = size;
}
