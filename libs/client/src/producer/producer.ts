import { partitionOfKey } from "@tidemark/format";
import { Codec as CodecId, Reason } from "@tidemark/proto/common/v1";
import { Acks } from "@tidemark/proto/log/v1";
import { type CodecName, codecIdOf, type ProducedRecord, type RecordHeader } from "@tidemark/record";
import { TidemarkError } from "@tidemark/rpc";
import { below, createDeferred, type Deferred } from "@tidemark/runtime";
import type { Connection } from "../connection.ts";
import { sampledTraceparent, traceparentHeader } from "../trace.ts";
import type { RecordOutcome, Settle } from "./outcome.ts";
import { createPartitionQueue, type PartitionQueue, type SendOptions } from "./partition-queue.ts";

export type AcksName = "none" | "leader" | "all";

export interface ProducerOptions {
  /** When a batch is answered. Absent: all. */
  readonly acks?: AcksName;
  /** Absent: none. */
  readonly compression?: CodecName;
  /** Bytes of a batch before compression. Absent: 256 KiB. */
  readonly batchBytesMax?: number;
  /** How long a batch waits for company when nothing is on its way. Absent: 5 ms. */
  readonly lingerMs?: number;
  /** How long a record may be on its way, all tries together. Absent: 2 min. */
  readonly deliveryTimeoutMs?: number;
  /** How long one try may take. Absent: 30 s. */
  readonly requestTimeoutMs?: number;
  /** Bytes that may wait to be acknowledged. Absent: 32 MiB. */
  readonly bufferBytesMax?: number;
}

/** A record to be sent. */
export interface RecordToSend {
  /** Absent or null: no key. */
  readonly key?: Uint8Array | null;
  /** Null: a delete marker. */
  readonly value: Uint8Array | null;
  readonly headers?: readonly RecordHeader[];
  /** Milliseconds since 1970. Absent: now. */
  readonly timestampMs?: number;
  /** Absent: by key; without a key one partition for a while, then another. */
  readonly partition?: number;
}

/**
 * Sends records. Those of one partition are stored in the order in which they were given, through every retry. Without
 * a producer id a record that was sent again may stand twice.
 */
export interface Producer {
  /** Resolves when the outcome is known; never rejects. */
  send(topic: string, record: RecordToSend): Promise<RecordOutcome>;
  /**
   * The cheap form: no promise a record. `partitions` has to be known (`prepare`). Returns false once the buffer is
   * full: then wait for `writable()` before giving more.
   */
  enqueue(topic: string, record: RecordToSend, settle: Settle): boolean;
  /** Learns what `enqueue` needs to know of a topic. Fails with a TidemarkError, as where there is no such topic. */
  prepare(topic: string): Promise<void>;
  /** Resolves when the buffer has room. */
  writable(): Promise<void>;
  /** Resolves when every record given so far is settled. */
  flush(): Promise<void>;
  /** Flushes and ends. What is not settled when `signal` is aborted is settled at once. A second call does nothing. */
  close(signal?: AbortSignal): Promise<void>;
}

const defaults = {
  acks: "all",
  batchBytesMax: 256 * 1024,
  lingerMs: 5,
  deliveryTimeoutMs: 120_000,
  requestTimeoutMs: 30_000,
  bufferBytesMax: 32 * 2 ** 20,
} as const;

const acksOf: Readonly<Record<AcksName, Acks>> = { none: Acks.NONE, leader: Acks.LEADER, all: Acks.ALL };

interface TopicQueues {
  readonly partitions: Map<number, PartitionQueue>;
  /** Where records without a key go for now. */
  sticky: { readonly partition: number; readonly bytesLeft: number } | undefined;
}

export function createProducer(connection: Connection, given: ProducerOptions): Producer {
  const options = { ...defaults, ...given };
  const { runtime, topics } = connection;
  const codec = options.compression === undefined ? undefined : connection.codecs[options.compression];
  if (options.compression !== undefined && codec === undefined) {
    throw new TidemarkError({
      reason: Reason.UNSUPPORTED_CODEC,
      message: `The codec ${options.compression} cannot be loaded here`,
    });
  }
  const queues = new Map<string, TopicQueues>();
  let buffered = 0;
  let isClosed = false;
  let room: Deferred<void> | undefined;
  let drained: Deferred<void> | undefined;

  const onSettled = (bytes: number) => {
    buffered -= bytes;
    if (buffered < options.bufferBytesMax) {
      room?.resolve();
      room = undefined;
    }
    if (buffered === 0) {
      drained?.resolve();
      drained = undefined;
    }
  };

  const topicQueues = (topic: string): TopicQueues => {
    let found = queues.get(topic);
    if (found === undefined) {
      found = { partitions: new Map(), sticky: undefined };
      queues.set(topic, found);
    }
    return found;
  };

  const queueOf = (topic: string, partition: number): PartitionQueue => {
    const { partitions } = topicQueues(topic);
    let queue = partitions.get(partition);
    if (queue === undefined) {
      queue = createPartitionQueue({
        ...options,
        partition,
        runtime,
        codec,
        onSettled,
        send: (batch, call) => sendBatch(topic, partition, batch, call),
      });
      partitions.set(partition, queue);
    }
    return queue;
  };

  const sendBatch = async (topic: string, partition: number, batches: Uint8Array, call: SendOptions) => {
    const { results } = await connection.produce.produce(
      {
        topic,
        partition,
        acks: acksOf[options.acks],
        batches,
        codec: (codec === undefined ? CodecId.NONE : codecIdOf(codec.name) + 1) as CodecId,
        timeoutMs: Math.ceil(call.timeoutMs),
      },
      call,
    );
    return results[0]?.baseOffset;
  };

  /** Records without a key stay with one partition for a batch, so that batches are full also at many partitions. */
  const stickyPartition = (topic: string, partitions: number, bytes: number): number => {
    const state = topicQueues(topic);
    const current = state.sticky;
    if (current !== undefined && current.bytesLeft > 0 && current.partition < partitions) {
      state.sticky = { partition: current.partition, bytesLeft: current.bytesLeft - bytes };
      return current.partition;
    }
    const partition = below(runtime.random, partitions);
    state.sticky = { partition, bytesLeft: options.batchBytesMax - bytes };
    return partition;
  };

  const partitionFor = (topic: string, record: RecordToSend): number => {
    if (record.partition !== undefined) return record.partition;
    const partitions = topics.known(topic) ?? lastKnown.get(topic);
    if (partitions === undefined) throw new Error("prepare() goes before enqueue()");
    if (record.key) return partitionOfKey(record.key, partitions);
    return stickyPartition(topic, partitions, record.value?.length ?? 0);
  };
  const lastKnown = new Map<string, number>();

  const producer: Producer = {
    async prepare(topic) {
      lastKnown.set(topic, await topics.partitions(topic));
    },
    enqueue(topic, record, settle) {
      if (isClosed) {
        settle({ kind: "notApplied", error: closedError() });
        return true;
      }
      const queue = queueOf(topic, partitionFor(topic, record));
      buffered += queue.add(toProduced(record, runtime.clock.wallMs()), settle);
      return buffered < options.bufferBytesMax;
    },
    async send(topic, record) {
      try {
        if (record.partition === undefined && topics.known(topic) === undefined) await producer.prepare(topic);
        if (buffered >= options.bufferBytesMax) await producer.writable();
      } catch (error) {
        if (error instanceof TidemarkError) return { kind: "notApplied", error };
        throw error;
      }
      return new Promise((resolve) => {
        producer.enqueue(topic, record, resolve);
      });
    },
    async writable() {
      if (buffered < options.bufferBytesMax) return;
      room ??= createDeferred();
      await room.promise;
    },
    async flush() {
      for (const { partitions } of queues.values()) for (const queue of partitions.values()) queue.hurry();
      if (buffered === 0) return;
      drained ??= createDeferred();
      await drained.promise;
    },
    async close(signal) {
      if (isClosed) return;
      isClosed = true;
      const abandon = () => {
        const error = closedError();
        for (const { partitions } of queues.values()) for (const queue of partitions.values()) queue.abandon(error);
      };
      if (signal?.aborted) abandon();
      signal?.addEventListener("abort", abandon, { once: true });
      await producer.flush();
      signal?.removeEventListener("abort", abandon);
    },
  };
  return producer;
}

function closedError(): TidemarkError {
  return new TidemarkError({
    reason: Reason.CANCELLED,
    message: "The producer was closed before the record was sent",
    retriable: false,
  });
}

function toProduced(record: RecordToSend, nowMs: number): ProducedRecord {
  const traceparent = sampledTraceparent();
  const headers = record.headers ?? [];
  return {
    timestamp: BigInt(record.timestampMs ?? nowMs),
    key: record.key ?? null,
    value: record.value,
    headers: traceparent === undefined ? headers : [...headers, traceparentHeader(traceparent)],
  };
}
