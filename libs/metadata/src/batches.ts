import { formatDomainKey, keyOfChange, type MetadataChange } from "./change.ts";

/** What one batch holds at most. */
export interface BatchLimits {
  readonly changesMax: number;
  readonly bytesMax: number;
}

/**
 * Cuts changes into batches, in their order. A key stands at most once in a batch: of several changes of one key the
 * last counts, since a batch is applied as one. Bytes are those of key and value as `sizeOf` tells them; a change that
 * is too large by itself gets a batch of its own, for the store to refuse.
 */
export function splitIntoBatches(
  changes: readonly MetadataChange[],
  limits: BatchLimits,
  sizeOf: (change: MetadataChange) => number,
): readonly (readonly MetadataChange[])[] {
  const batches: MetadataChange[][] = [];
  let batch = new Map<string, { readonly change: MetadataChange; readonly bytes: number }>();
  let bytes = 0;
  const close = () => {
    if (batch.size > 0) batches.push(Array.from(batch.values(), (each) => each.change));
    batch = new Map();
    bytes = 0;
  };
  for (const change of changes) {
    const key = formatDomainKey(keyOfChange(change));
    const size = sizeOf(change);
    const replaced = batch.get(key);
    const count = batch.size + (replaced === undefined ? 1 : 0);
    const total = bytes - (replaced?.bytes ?? 0) + size;
    if (batch.size > 0 && (count > limits.changesMax || total > limits.bytesMax)) close();
    bytes -= batch.get(key)?.bytes ?? 0;
    // The last change of a key also takes the last place.
    batch.delete(key);
    batch.set(key, { change, bytes: size });
    bytes += size;
  }
  close();
  return batches;
}
