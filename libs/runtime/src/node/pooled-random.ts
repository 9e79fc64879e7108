import type { Random } from "../random.ts";

/**
 * Random numbers of a source that is dear to ask: it is asked for `poolBytes` at a time, and each byte is handed out
 * once. Whoever wants more than the pool holds gets them from the source itself.
 */
export function createPooledRandom(fill: (bytes: Uint8Array) => void, poolBytes: number): Random {
  const pool = new Uint8Array(poolBytes);
  const view = new DataView(pool.buffer);
  let used = poolBytes;
  /** Where so many fresh bytes stand in the pool. */
  const take = (length: number): number => {
    if (used + length > poolBytes) {
      fill(pool);
      used = 0;
    }
    const at = used;
    used += length;
    return at;
  };
  return {
    next: () => view.getUint32(take(4)) / 2 ** 32,
    bytes(length) {
      if (length <= poolBytes) {
        const at = take(length);
        return pool.slice(at, at + length);
      }
      const bytes = new Uint8Array(length);
      fill(bytes);
      return bytes;
    },
  };
}
