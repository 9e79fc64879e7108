/** One number for all that happened in a run: the same seed gives the same, or something is not deterministic. */
export interface TraceHash {
  /** Takes a whole number in, of which the lower 32 bits count. */
  readonly add: (value: number) => void;
  /** Sixteen hexadecimal digits. */
  digest(): string;
}

/** Two lanes of 32 bits, each mixed as in MurmurHash3. No cryptography: nobody here wants to deceive. */
export function createTraceHash(): TraceHash {
  let left = 0x9747b28c | 0;
  let right = 0x3c6ef372 | 0;
  return {
    add(value) {
      left = mix(left, value, 0xcc9e2d51, 0x1b873593);
      right = mix(right, value, 0x239b961b, 0xab0e9789);
    },
    digest: () => [left, right].map((lane) => finish(lane).toString(16).padStart(8, "0")).join(""),
  };
}

/** A whole number for a text, the same everywhere (FNV-1a, 32 bits). */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}

/** The same of bytes. `from`: the hash of what stands before them. */
export function hashBytes(bytes: Uint8Array, from = 0x811c9dc5): number {
  let hash = from | 0;
  for (let index = 0; index < bytes.length; index++) hash = Math.imul(hash ^ (bytes[index] ?? 0), 0x01000193);
  return hash >>> 0;
}

function mix(lane: number, value: number, first: number, second: number): number {
  const scrambled = Math.imul(value | 0, first);
  const turned = lane ^ Math.imul((scrambled << 15) | (scrambled >>> 17), second);
  return (Math.imul((turned << 13) | (turned >>> 19), 5) + 0xe6546b64) | 0;
}

function finish(lane: number): number {
  let hash = lane ^ (lane >>> 16);
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
