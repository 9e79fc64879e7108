import { textToBytes } from "@tidemark/format";
import { type BatchProducer, encodeBatch, portableCrc32c } from "@tidemark/record";

/** A batch of an idempotent producer, a record for each text. */
export function producerBatch(producer: BatchProducer, ...texts: readonly string[]): Uint8Array {
  const records = texts.map((text) => ({ timestamp: 1n, key: null, value: textToBytes(text), headers: [] }));
  return encodeBatch(records, { crc32c: portableCrc32c, producer });
}
