import type { Offset } from "@tidemark/ids";

/** A name and a value that travel with a record. Kafka takes the key for UTF-8; here it stays bytes. */
export interface RecordHeader {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
}

/** What a producer gives. */
export interface ProducedRecord {
  /** Milliseconds since 1970, or -1 for no time. */
  readonly timestamp: bigint;
  /** Null: no key. An empty key is another thing. */
  readonly key: Uint8Array | null;
  /** Null: under key compaction, delete this key. */
  readonly value: Uint8Array | null;
  /** In order; a key may stand twice. */
  readonly headers: readonly RecordHeader[];
}

/** What a log holds. Key, value and headers are slices of the bytes that were read. */
export interface StoredRecord extends ProducedRecord {
  readonly offset: Offset;
}
