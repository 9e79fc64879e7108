export { type Client, type ClientOptions, createClient } from "./client.ts";
export type { LogClient } from "./connection.ts";
export type { ConsumedRecord, Consumer, ConsumerOptions } from "./consumer/consumer.ts";
export type { ConsumedBatch } from "./consumer/fetcher.ts";
export type { Start } from "./consumer/offsets.ts";
export type { RecordToSend } from "./producer/check-record.ts";
export type { RecordOutcome, Settle } from "./producer/outcome.ts";
export type { AcksName, Producer, ProducerOptions } from "./producer/producer.ts";
