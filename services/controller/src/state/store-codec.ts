/** Between the changes of the domain and those of the consensus store, whose values are bytes of proto3 JSON. */
import { type Change, limits } from "@tidemark/consensus";
import {
  changeFromJson,
  changeToJson,
  formatDomainKey,
  keyOfChange,
  type MetadataChange,
  splitIntoBatches,
} from "@tidemark/metadata";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function toStoreChange(change: MetadataChange): Change {
  const key = formatDomainKey(keyOfChange(change));
  const json = changeToJson(change);
  return json === undefined ? { kind: "delete", key } : { kind: "put", key, value: encoder.encode(json) };
}

/** Undefined for a key that the metadata image passes over. */
export function fromStoreChange(change: Change): MetadataChange | undefined {
  return changeFromJson(change.key, change.kind === "put" ? decodeValue(change.value) : undefined);
}

/** The text of a value. Bytes that are no UTF-8 become replacement characters, which no JSON has in a place that counts. */
export function decodeValue(value: Uint8Array): string {
  return decoder.decode(value);
}

/** Batches as the store takes them, in the order of the changes (C10). */
export function toStoreBatches(changes: readonly MetadataChange[]): readonly (readonly Change[])[] {
  const stored = new Map(changes.map((change) => [change, toStoreChange(change)]));
  const sizeOf = (change: MetadataChange) => {
    const { key, ...rest } = stored.get(change) ?? toStoreChange(change);
    return encoder.encode(key).length + (rest.kind === "put" ? rest.value.length : 0);
  };
  const bounds = { changesMax: limits.batchChangesMax, bytesMax: limits.batchBytesMax };
  return splitIntoBatches(changes, bounds, sizeOf).map((batch) =>
    batch.map((change) => stored.get(change) ?? toStoreChange(change)),
  );
}
