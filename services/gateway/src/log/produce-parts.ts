/** What a produce request has for each partition. */
import { crc32c } from "@tidemark/compression";
import { encodeRecords, keyOf, partitionOfKey } from "@tidemark/format";
import type { Topic } from "@tidemark/metadata";
import { Codec as CodecId, Reason } from "@tidemark/proto/common/v1";
import type { ProduceRequest, Record as RecordMessage } from "@tidemark/proto/log/v1";
import { type Codec, type Codecs, codecNameOf, type RecordHeader } from "@tidemark/record";
import { TidemarkError } from "@tidemark/rpc";
import { pick, type Random } from "@tidemark/runtime";
import { batchTooLarge, invalidArgument, type Place } from "../errors.ts";
import type { RouteTable } from "../routing/route-table.ts";
import { checkFraming } from "./check-batches.ts";
import { indexesUpTo } from "./partitions.ts";

/** Encoded batches for one partition. */
export interface ProducePart {
  readonly partition: number;
  readonly batches: Uint8Array;
  readonly records: number;
}

/** Refuses a request that is neither of the two forms. */
export function checkForm(request: ProduceRequest): void {
  if (request.topic === "") throw invalidArgument("topic is empty; name the topic");
  if (request.batches.length > 0 && request.records.length > 0) {
    throw invalidArgument("records and batches are two forms of the same: send one of them");
  }
  if (request.batches.length === 0 && request.records.length === 0) {
    throw invalidArgument('there is nothing to append; send for example "records":[{"text":"hello"}]');
  }
}

/** The fast form goes on as it came. Throws what a leader would refuse for its size or its framing. */
export function batchesPart(request: ProduceRequest, batchBytesMax: number): ProducePart {
  const { topic, partition, batches } = request;
  if (partition === undefined) throw invalidArgument("batches go to one partition: name it in `partition`");
  return { partition, batches, records: checkFraming(batches, { topic, partition }, batchBytesMax) };
}

/**
 * The partition of each record: the one that the request names; else by its key, as Kafka's producers have it; else one
 * for the whole request, with a leader if any has one.
 */
export function splitByPartition(
  request: ProduceRequest,
  topic: Topic,
  { table, random }: { readonly table: RouteTable; readonly random: Random },
): ReadonlyMap<number, readonly RecordMessage[]> {
  const byPartition = new Map<number, RecordMessage[]>();
  let sticky: number | undefined;
  for (const record of request.records) {
    const key = keyOf(record.keyForm);
    const byKey = () =>
      key === null ? (sticky ??= anyPartition(topic, table, random)) : partitionOfKey(key, topic.partitions);
    const partition = request.partition ?? byKey();
    const records = byPartition.get(partition);
    if (records === undefined) byPartition.set(partition, [record]);
    else records.push(record);
  }
  return byPartition;
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
    throw new TidemarkError({
      reason: Reason.INVALID_RECORD,
      message: `Record ${encoded.index} of those for partition ${place.partition} cannot be stored: ${encoded.message}.`,
      ...place,
    });
  }
  const { batch } = encoded;
  if (batch.length > batchBytesMax) throw batchTooLarge(place, batch.length, batchBytesMax);
  return { partition: place.partition, batches: batch, records: records.length };
}

/** Undefined: no compression. Throws REASON_UNSUPPORTED_CODEC. */
export function codecOf(id: CodecId, codecs: Codecs): Codec | undefined {
  if (id === CodecId.UNSPECIFIED || id === CodecId.NONE) return undefined;
  const name = codecNameOf(id - 1);
  const codec = name === undefined ? undefined : codecs[name];
  if (codec !== undefined) return codec;
  throw new TidemarkError({
    reason: Reason.UNSUPPORTED_CODEC,
    message: `Codec ${name ?? String(id)} is not available on this gateway; there are ${Object.keys(codecs).join(", ")}.`,
  });
}

function anyPartition(topic: Topic, table: RouteTable, random: Random): number {
  const all = indexesUpTo(topic.partitions);
  const led = all.filter((partition) => table.route(table.partition(topic, partition)) !== undefined);
  return pick(random, led) ?? pick(random, all) ?? 0;
}
