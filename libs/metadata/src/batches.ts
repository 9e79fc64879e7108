import { formatDomainKey, keyOfChange, type MetadataChange } from "./change.ts";

/** What one batch holds at most. */
export interface BatchLimits {
  readonly changesMax: number;
  readonly bytesMax: number;
}

/**
 * Cuts changes into batches, in their order. A key stands at most once in a batch: of several changes of one key the
 * last counts, since a batch is applied as one. An unclean election and its receipt, which comes right behind it, are in
 * one batch: a crash between two of them must not leave an election without a receipt (D3, P5). Bytes are those of key and value as `sizeOf` tells them; a change that
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
  for (const [index, change] of changes.entries()) {
    const key = formatDomainKey(keyOfChange(change));
    const size = sizeOf(change);
    const replaced = batch.get(key);
    const receipt = receiptBehind(changes, index);
    const count = batch.size + (replaced === undefined ? 1 : 0) + (receipt === undefined ? 0 : 1);
    const total = bytes - (replaced?.bytes ?? 0) + size + (receipt === undefined ? 0 : sizeOf(receipt));
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

/** The receipt that belongs to the election at `index`. Undefined: there is none. */
function receiptBehind(changes: readonly MetadataChange[], index: number): MetadataChange | undefined {
  const [change, next] = [changes[index], changes[index + 1]];
  if (change?.kind !== "partition" || next?.kind !== "receipt") return undefined;
  return next.topicId === change.topicId && next.partition === change.partition ? next : undefined;
}
