/** One number for what stands under a set of keys, whatever the order in which it came there. */
export interface KeyDigest {
  /** A whole number of 32 bits; 0 when empty. */
  readonly value: number;
  /** `hash`: of the key with its value. */
  put(key: string, hash: number): void;
  remove(key: string): void;
}

/** Each change costs the same, however many keys there are. */
export function createKeyDigest(): KeyDigest {
  const hashes = new Map<string, number>();
  let sum = 0;
  return {
    get value() {
      return sum >>> 0;
    },
    put(key, hash) {
      sum = (sum - (hashes.get(key) ?? 0) + hash) | 0;
      hashes.set(key, hash);
    },
    remove(key) {
      sum = (sum - (hashes.get(key) ?? 0)) | 0;
      hashes.delete(key);
    },
  };
}
