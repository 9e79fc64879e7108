/** What a produce request has for each partition. */
import { crc32c } from "@tidemark/compression";
import { chooseCodec, encodeRecords } from "@tidemark/format";
import type { Topic } from "@tidemark/metadata";
import type { Codec as CodecId } from "@tidemark/proto/common/v1";
import type { ProduceRequest, Record as RecordMessage } from "@tidemark/proto/log/v1";
import type { Codec, Codecs, RecordHeader } from "@tidemark/record";
import { batchTooLarge, invalidRecord, type Place, unavailableCodec } from "@tidemark/rpc";
import { pick, type Random } from "@tidemark/runtime";
import type { RouteTable } from "../routing/route-table.ts";
import { checkFraming } from "./check-batches.ts";
import { indexesUpTo } from "./partitions.ts";

/** Encoded batches for one partition. */
export interface ProducePart {
  readonly partition: number;
  readonly batches: Uint8Array;
  readonly records: number;
  /** To send them twice stores them once. */
  readonly isIdempotent: boolean;
}

/** The fast form, which names its partition, goes on as it came. Throws what a leader would refuse for its size or its framing. */
export function batchesPart(request: ProduceRequest, batchBytesMax: number): ProducePart {
  const { topic, partition = 0, batches } = request;
  return { partition, batches, ...checkFraming(batches, { topic, partition }, batchBytesMax) };
}

export interface EncodeOptions {
  readonly codec: Codec | undefined;
  readonly nowMs: number;
  readonly traceHeader: RecordHeader | undefined;
  readonly batchBytesMax: number;
}

/** Records as people write them in one batch. Throws a TidemarkError that names the record, or the size. */
export function encodePart(records: readonly RecordMessage[], place: Place, options: EncodeOptions): ProducePart {
  const { batchBytesMax, ...rules } = options;
  const encoded = encodeRecords(records, { ...rules, crc32c });
  if (encoded.kind === "invalid") {
    throw invalidRecord(place, encoded.index, encoded.message);
  }
  const { batch } = encoded;
  if (batch.length > batchBytesMax) throw batchTooLarge(place, batch.length, batchBytesMax);
  return { partition: place.partition, batches: batch, records: records.length, isIdempotent: false };
}

/** Undefined: no compression. Throws REASON_UNSUPPORTED_CODEC. */
export function codecOf(id: CodecId, codecs: Codecs): Codec | undefined {
  const chosen = chooseCodec(id, codecs);
  if (chosen.kind === "unavailable") throw unavailableCodec(chosen.name, Object.keys(codecs));
  return chosen.kind === "codec" ? chosen.codec : undefined;
}

/** One with a leader if any has one. */
export function anyPartition(topic: Topic, table: RouteTable, random: Random): number {
  const all = indexesUpTo(topic.partitions);
  const led = all.filter((partition) => table.route(table.partition(topic, partition)) !== undefined);
  return pick(random, led) ?? pick(random, all) ?? 0;
}
