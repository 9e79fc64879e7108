import type { BrokerId, PartitionIndex, TopicId } from "@tidemark/ids";
import { formatKey, type MetadataKey } from "./keys.ts";
import type {
  ActiveController,
  BrokerSession,
  Cluster,
  DeletedTopic,
  KnownBroker,
  Partition,
  ProducerIds,
  Receipt,
  Topic,
} from "./model.ts";

/**
 * One key of the tree with its new value; `value` is undefined where the key is removed.
 *
 * `malformed` stands for a key whose value cannot be read. Everyone takes such a key for absent, so that a controller
 * that read it as a change and one that starts and finds it agree; the image remembers it, so that nothing is decided
 * from the absence.
 */
export type MetadataChange =
  | { readonly kind: "cluster"; readonly value: Cluster | undefined }
  | { readonly kind: "controller"; readonly value: ActiveController | undefined }
  | { readonly kind: "brokerSession"; readonly brokerId: BrokerId; readonly value: BrokerSession | undefined }
  | { readonly kind: "knownBroker"; readonly brokerId: BrokerId; readonly value: KnownBroker | undefined }
  | { readonly kind: "topic"; readonly name: string; readonly value: Topic | undefined }
  | {
      readonly kind: "partition";
      readonly topicId: TopicId;
      readonly partition: PartitionIndex;
      readonly value: Partition | undefined;
    }
  | { readonly kind: "deletedTopic"; readonly topicId: TopicId; readonly value: DeletedTopic | undefined }
  | {
      readonly kind: "receipt";
      readonly topicId: TopicId;
      readonly partition: PartitionIndex;
      readonly value: Receipt | undefined;
    }
  | { readonly kind: "producerIds"; readonly value: ProducerIds | undefined }
  | { readonly kind: "malformed"; readonly key: DomainKey; readonly message: string };

/** A change whose value can be read. */
export type ValueChange = Exclude<MetadataChange, { readonly kind: "malformed" }>;

/** The keys that the image holds. All others are passed over. */
export type DomainKey =
  | Extract<
      MetadataKey,
      {
        kind:
          | "cluster"
          | "controller"
          | "brokerSession"
          | "knownBroker"
          | "topic"
          | "partition"
          | "deletedTopic"
          | "receipt";
      }
    >
  | { readonly kind: "producerIds" };

/** The key that a change is about. */
export function keyOfChange(change: MetadataChange): DomainKey {
  switch (change.kind) {
    case "cluster":
    case "controller":
    case "producerIds":
      return { kind: change.kind };
    case "brokerSession":
    case "knownBroker":
      return { kind: change.kind, brokerId: change.brokerId };
    case "topic":
      return { kind: "topic", name: change.name };
    case "partition":
    case "receipt":
      return { kind: change.kind, topicId: change.topicId, partition: change.partition };
    case "deletedTopic":
      return { kind: "deletedTopic", topicId: change.topicId };
    case "malformed":
      return change.key;
  }
}

/** The removal of a key. */
export function removal(key: DomainKey): ValueChange {
  return { ...key, value: undefined };
}

/** The key as it stands in the tree. */
export function formatDomainKey(key: DomainKey): string {
  return formatKey(key.kind === "producerIds" ? { kind: "producers", parts: ["next"] } : key);
}

export function putSession(value: BrokerSession): MetadataChange {
  return { kind: "brokerSession", brokerId: value.brokerId, value };
}

export function putKnownBroker(value: KnownBroker): MetadataChange {
  return { kind: "knownBroker", brokerId: value.brokerId, value };
}

export function putTopic(value: Topic): MetadataChange {
  return { kind: "topic", name: value.name, value };
}

export function putPartition(value: Partition): MetadataChange {
  return { kind: "partition", topicId: value.topicId, partition: value.partition, value };
}

export function putReceipt(value: Receipt): MetadataChange {
  return { kind: "receipt", topicId: value.topicId, partition: value.partition, value };
}

export function putDeletedTopic(value: DeletedTopic): MetadataChange {
  return { kind: "deletedTopic", topicId: value.topicId, value };
}
