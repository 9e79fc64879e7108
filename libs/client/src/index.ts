export {
  type BrokerDescription,
  type DescribeClusterResponse,
  type Election,
  ElectionCause,
  type ElectionResult,
  ElectionRule,
  ElectionType,
  type IsrChange,
  type PartitionDescription,
  type Receipt,
  type SessionChange,
  SessionChangeKind,
  type TopicDescription,
  type WatchEventsResponse,
} from "@tidemark/proto/admin/v1";
export type {
  DescribeQuorumResponse,
  Entry as MetadataEntry,
  QuorumMember,
  WatchResponse as MetadataWatchResponse,
} from "@tidemark/proto/admin/v1/metadata";
export { Outcome, Reason } from "@tidemark/proto/common/v1";
export { type ExplainOffsetResponse, OffsetState } from "@tidemark/proto/log/v1";
export { BrokerState } from "@tidemark/proto/metadata/v1";
export type { StoredRecord } from "@tidemark/record";
export {
  type ClientTls,
  certificatesProblem,
  fromErrorDetail,
  keyFits,
  keyProblem,
  type PemProblem,
  reasonName,
  TidemarkError,
} from "@tidemark/rpc";
export { type Client, type ClientOptions, createClient } from "./client.ts";
export type { LogClient } from "./connection.ts";
export type { ConsumedRecord, Consumer, ConsumerOptions } from "./consumer/consumer.ts";
export type { ConsumedBatch } from "./consumer/fetcher.ts";
export type { Start } from "./consumer/offsets.ts";
export type { ConsumerEvent, OffsetReset } from "./consumer/recover.ts";
export type { BytesOrText, HeaderToSend, RecordToSend } from "./producer/check-record.ts";
export type { RecordOutcome, Settle } from "./producer/outcome.ts";
export type { AcksName, Producer, ProducerOptions, SendOptions } from "./producer/producer.ts";
