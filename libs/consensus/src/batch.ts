import type { Change } from "./consensus.ts";
import { limits } from "./limits.ts";
import { isStoreKey } from "./store-key.ts";

/** Visible ASCII in parts behind single slashes, none of them empty: the same bytes on every backend. */
const wellFormedKey = /^(?:\/[!-.0-~]+)+$/;

/** What keeps a text from being a key of the tree (C10, C12), for people to read. Undefined: nothing. */
export function faultOfKey(key: string): string | undefined {
  if (key.length > limits.keyBytesMax)
    return `a key has ${key.length} bytes, at most ${limits.keyBytesMax} are allowed`;
  if (!wellFormedKey.test(key)) return `a key has to be visible ASCII in parts behind single slashes: ${quote(key)}`;
  return undefined;
}

/** What keeps a batch from being appended (C1, C10), for people to read. Undefined: nothing. */
export function faultOfBatch(changes: readonly Change[]): string | undefined {
  if (changes.length === 0) return "a batch needs a change";
  if (changes.length > limits.batchChangesMax) {
    return `a batch has ${changes.length} changes, at most ${limits.batchChangesMax} are allowed`;
  }
  const keys = new Set<string>();
  for (const change of changes) {
    const fault = faultOfChange(change);
    if (fault !== undefined) return fault;
    if (keys.has(change.key)) return `a key stands twice in the batch: ${change.key}`;
    keys.add(change.key);
  }
  const bytes = bytesOfBatch(changes);
  if (bytes > limits.batchBytesMax) return `a batch has ${bytes} bytes, at most ${limits.batchBytesMax} are allowed`;
  return undefined;
}

/** Keys and values together. A key that passed `faultOfKey` has as many bytes as characters. */
export function bytesOfBatch(changes: readonly Change[]): number {
  let bytes = 0;
  for (const change of changes) bytes += change.key.length + (change.kind === "put" ? change.value.length : 0);
  return bytes;
}

function faultOfChange(change: Change): string | undefined {
  const fault = faultOfKey(change.key);
  if (fault !== undefined) return fault;
  if (isStoreKey(change.key)) return `the store alone writes ${change.key}`;
  if (change.kind === "put" && change.value.length > limits.valueBytesMax) {
    return `the value of ${change.key} has ${change.value.length} bytes, at most ${limits.valueBytesMax} are allowed`;
  }
  return undefined;
}

function quote(text: string): string {
  const shown = text.slice(0, 64);
  return JSON.stringify(shown.length < text.length ? `${shown}...` : shown);
}
