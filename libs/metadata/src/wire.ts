/**
 * Changes as brokers and gateways get them, and the values of keys as the consensus store keeps them (proto3 JSON).
 * Both ways end in the same `MetadataChange`.
 */
import { create, fromJsonString, toJsonString } from "@bufbuild/protobuf";
import {
  BrokerSessionRecordSchema,
  ClusterRecordSchema,
  ControllerRecordSchema,
  DeletedTopicRecordSchema,
  KnownBrokerRecordSchema,
  type MetadataChange as MetadataChangeMessage,
  MetadataChangeSchema,
  PartitionRecordSchema,
  ProducerIdsRecordSchema,
  ReceiptRecordSchema,
  RemovedSchema,
  TopicRecordSchema,
} from "@tidemark/proto/metadata/v1";
import { type DomainKey, formatDomainKey, keyOfChange, type MetadataChange, removal } from "./change.ts";
import { parseKey } from "./keys.ts";
import {
  readCluster,
  readController,
  readDeletedTopic,
  readKnownBroker,
  readPartition,
  readProducerIds,
  readReceipt,
  readSession,
  readTopic,
  writeCluster,
  writeController,
  writeDeletedTopic,
  writeKnownBroker,
  writePartition,
  writeProducerIds,
  writeReceipt,
  writeSession,
  writeTopic,
} from "./records.ts";

type Record = MetadataChangeMessage["record"];

/** The key of a text as far as the image holds such keys; undefined for keys that are passed over. */
function readDomainKey(text: string): DomainKey | undefined {
  const key = parseKey(text);
  if (key === undefined) return undefined;
  switch (key.kind) {
    case "candidate":
    case "controllerEpoch":
    case "append":
    case "config":
    case "acls":
      return undefined;
    case "producers":
      return key.parts.length === 1 && key.parts[0] === "next" ? { kind: "producerIds" } : undefined;
    default:
      return key;
  }
}

/** A change as it travels. A malformed key travels as its removal: nobody acts on what cannot be read. */
export function changeToWire(change: MetadataChange): MetadataChangeMessage {
  return create(MetadataChangeSchema, { key: formatDomainKey(keyOfChange(change)), record: writeRecord(change) });
}

/** A change as it came. Undefined for a key of a kind that is not known here: it is passed over. */
export function changeFromWire(message: MetadataChangeMessage): MetadataChange | undefined {
  const key = readDomainKey(message.key);
  if (key === undefined || message.record.case === undefined) return undefined;
  return readRecord(key, message.record);
}

/** The value of a key as the store keeps it. Undefined where the change removes the key. */
export function changeToJson(change: MetadataChange): string | undefined {
  const record = writeRecord(change);
  // What is empty is written too: people read this.
  const options = { alwaysEmitImplicit: true };
  switch (record.case) {
    case "removed":
    case undefined:
      return undefined;
    case "cluster":
      return toJsonString(ClusterRecordSchema, record.value, options);
    case "controller":
      return toJsonString(ControllerRecordSchema, record.value, options);
    case "broker":
      return toJsonString(BrokerSessionRecordSchema, record.value, options);
    case "knownBroker":
      return toJsonString(KnownBrokerRecordSchema, record.value, options);
    case "topic":
      return toJsonString(TopicRecordSchema, record.value, options);
    case "partition":
      return toJsonString(PartitionRecordSchema, record.value, options);
    case "deletedTopic":
      return toJsonString(DeletedTopicRecordSchema, record.value, options);
    case "receipt":
      return toJsonString(ReceiptRecordSchema, record.value, options);
    case "producerIds":
      return toJsonString(ProducerIdsRecordSchema, record.value, options);
  }
}

/**
 * The change that a key of the store stands for; `json` is undefined where the key was removed. Undefined for a key of
 * a kind that is not known here. Fields and enum values of a newer version are passed over.
 */
export function changeFromJson(keyText: string, json: string | undefined): MetadataChange | undefined {
  const key = readDomainKey(keyText);
  if (key === undefined) return undefined;
  if (json === undefined) return removal(key);
  try {
    return readRecord(key, parseRecord(key, json));
  } catch (error) {
    return malformed(key, error);
  }
}

function parseRecord(key: DomainKey, json: string): Record {
  const options = { ignoreUnknownFields: true };
  switch (key.kind) {
    case "cluster":
      return { case: "cluster", value: fromJsonString(ClusterRecordSchema, json, options) };
    case "controller":
      return { case: "controller", value: fromJsonString(ControllerRecordSchema, json, options) };
    case "brokerSession":
      return { case: "broker", value: fromJsonString(BrokerSessionRecordSchema, json, options) };
    case "knownBroker":
      return { case: "knownBroker", value: fromJsonString(KnownBrokerRecordSchema, json, options) };
    case "topic":
      return { case: "topic", value: fromJsonString(TopicRecordSchema, json, options) };
    case "partition":
      return { case: "partition", value: fromJsonString(PartitionRecordSchema, json, options) };
    case "deletedTopic":
      return { case: "deletedTopic", value: fromJsonString(DeletedTopicRecordSchema, json, options) };
    case "receipt":
      return { case: "receipt", value: fromJsonString(ReceiptRecordSchema, json, options) };
    case "producerIds":
      return { case: "producerIds", value: fromJsonString(ProducerIdsRecordSchema, json, options) };
  }
}

function readRecord(key: DomainKey, record: Record): MetadataChange {
  try {
    const change = record.case === "removed" ? removal(key) : recordToChange(record);
    if (change === undefined) return malformed(key, new RangeError("the value is of another kind than the key"));
    // A value that names another key than its own would stand in two places.
    if (formatDomainKey(keyOfChange(change)) !== formatDomainKey(key)) {
      return malformed(key, new RangeError("the value belongs to another key"));
    }
    return change;
  } catch (error) {
    return malformed(key, error);
  }
}

function recordToChange(record: Record): MetadataChange | undefined {
  switch (record.case) {
    case "cluster":
      return { kind: "cluster", value: readCluster(record.value) };
    case "controller":
      return { kind: "controller", value: readController(record.value) };
    case "broker": {
      const value = readSession(record.value);
      return { kind: "brokerSession", brokerId: value.brokerId, value };
    }
    case "knownBroker": {
      const value = readKnownBroker(record.value);
      return { kind: "knownBroker", brokerId: value.brokerId, value };
    }
    case "topic": {
      const value = readTopic(record.value);
      return { kind: "topic", name: value.name, value };
    }
    case "partition": {
      const value = readPartition(record.value);
      return { kind: "partition", topicId: value.topicId, partition: value.partition, value };
    }
    case "deletedTopic": {
      const value = readDeletedTopic(record.value);
      return { kind: "deletedTopic", topicId: value.topicId, value };
    }
    case "receipt": {
      const value = readReceipt(record.value);
      return { kind: "receipt", topicId: value.topicId, partition: value.partition, value };
    }
    case "producerIds":
      return { kind: "producerIds", value: readProducerIds(record.value) };
    case "removed":
    case undefined:
      return undefined;
  }
}

function writeRecord(change: MetadataChange): Record {
  if (change.kind === "malformed" || change.value === undefined) {
    return { case: "removed", value: create(RemovedSchema) };
  }
  switch (change.kind) {
    case "cluster":
      return { case: "cluster", value: writeCluster(change.value) };
    case "controller":
      return { case: "controller", value: writeController(change.value) };
    case "brokerSession":
      return { case: "broker", value: writeSession(change.value) };
    case "knownBroker":
      return { case: "knownBroker", value: writeKnownBroker(change.value) };
    case "topic":
      return { case: "topic", value: writeTopic(change.value) };
    case "partition":
      return { case: "partition", value: writePartition(change.value) };
    case "deletedTopic":
      return { case: "deletedTopic", value: writeDeletedTopic(change.value) };
    case "receipt":
      return { case: "receipt", value: writeReceipt(change.value) };
    case "producerIds":
      return { case: "producerIds", value: writeProducerIds(change.value) };
  }
}

function malformed(key: DomainKey, error: unknown): MetadataChange {
  return { kind: "malformed", key, message: error instanceof Error ? error.message : String(error) };
}
