/** What one batch may hold, the same on every backend (C10). More is refused before a backend sees it. */
export const limits = {
  keyBytesMax: 512,
  valueBytesMax: 64 * 1024,
  batchChangesMax: 100,
  /** Keys and values together. */
  batchBytesMax: 512 * 1024,
} as const;

/** What one candidate may have in flight (C11). More is refused with RESOURCE_EXHAUSTED. */
export const appendLimits = {
  batchesMax: 1_000,
  /** Keys and values together. */
  bytesMax: 16 * 1024 * 1024,
} as const;
