/** What a produce request in the form for people asks for: one reading, for brokers and gateways. */
import { Codec as CodecId } from "@tidemark/proto/common/v1";
import type { ProduceRequest, Record as RecordMessage } from "@tidemark/proto/log/v1";
import { type Codec, type Codecs, codecNameOf } from "@tidemark/record";
import { partitionOfKey } from "./partitioner.ts";
import { keyOf } from "./produced.ts";

/** Why a request is neither of the two forms; undefined where it is one. */
export function produceProblem(
  request: Pick<ProduceRequest, "topic" | "batches" | "records" | "partition">,
): string | undefined {
  const { topic, batches, records, partition } = request;
  if (topic === "") return "topic is empty; name the topic";
  if (batches.length > 0 && records.length > 0) {
    return "records and batches are two forms of the same: send one of them";
  }
  if (batches.length === 0 && records.length === 0) {
    return 'there is nothing to append; send for example "records":[{"text":"hello"}]';
  }
  if (batches.length > 0 && partition === undefined) return "batches go to one partition: name it in `partition`";
  return undefined;
}

/**
 * The records of a request by their partition: the one that the request names; else by the key, as Kafka's producers
 * have it; else one for the whole request, which `anyPartition` chooses. `partitions`: how many the topic has.
 */
export function splitByPartition(
  { partition, records }: Pick<ProduceRequest, "partition" | "records">,
  topic: { readonly partitions: () => number; readonly anyPartition: () => number },
): ReadonlyMap<number, readonly RecordMessage[]> {
  const byPartition = new Map<number, RecordMessage[]>();
  let sticky: number | undefined;
  for (const record of records) {
    const key = keyOf(record.keyForm);
    const byKey = () => (key === null ? (sticky ??= topic.anyPartition()) : partitionOfKey(key, topic.partitions()));
    const chosen = partition ?? byKey();
    const before = byPartition.get(chosen);
    if (before === undefined) byPartition.set(chosen, [record]);
    else before.push(record);
  }
  return byPartition;
}

/** The codec that a request names. */
export type ChosenCodec =
  | { readonly kind: "none" }
  | { readonly kind: "codec"; readonly codec: Codec }
  /** This process cannot load it, or it does not exist. */
  | { readonly kind: "unavailable"; readonly name: string };

/** The codec of a request among those that this process has; unspecified is none. */
export function chooseCodec(id: CodecId, codecs: Codecs): ChosenCodec {
  if (id === CodecId.UNSPECIFIED || id === CodecId.NONE) return { kind: "none" };
  const name = codecNameOf(id - 1);
  const codec = name === undefined ? undefined : codecs[name];
  return codec === undefined ? { kind: "unavailable", name: name ?? String(id) } : { kind: "codec", codec };
}
