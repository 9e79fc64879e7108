export { type Client, type ClientOptions, createClient } from "./client.ts";
export type { ConsumedBatch, Consumer, ConsumerOptions, Start } from "./consumer/consumer.ts";
export type { RecordOutcome, Settle } from "./producer/outcome.ts";
export type { AcksName, Producer, ProducerOptions, RecordToSend } from "./producer/producer.ts";
