import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { Acks } from "@tidemark/proto/log/v1";
import type { CodecName, ProducedRecord } from "@tidemark/record";
import { TidemarkError } from "@tidemark/rpc";
import type { Connection } from "../connection.ts";
import { checkChoice, checkNumber, optionsGiven } from "../options.ts";
import { orAborted } from "../or-aborted.ts";
import { activeCaller, startProduceSpan } from "../trace.ts";
import { createBatchLinks } from "./batch-links.ts";
import { createBuffer } from "./buffer.ts";
import { type RecordToSend, refuseRecord, toProduced } from "./check-record.ts";
import { reportAtExit } from "./exit-report.ts";
import { createProducerIdentities } from "./identities.ts";
import { createLeftBehind } from "./left-behind.ts";
import type { RecordOutcome, Settle } from "./outcome.ts";
import { type BatchSender, createPartitionQueue, type PartitionQueue } from "./partition-queue.ts";
import { createPartitioner, type Partitioner } from "./partitioner.ts";
import { createSequencer } from "./sequencer.ts";
import { createTopicWaits } from "./topic-waits.ts";
import { createTurns } from "./turns.ts";

export type AcksName = "none" | "leader" | "all";

export interface ProducerOptions {
  /** When a batch is answered. Absent: all. */
  readonly acks?: AcksName;
  /** Absent: none. */
  readonly compression?: CodecName;
  /** Bytes of a batch before compression. Absent: 256 KiB. */
  readonly batchBytesMax?: number;
  /**
   * How long a batch waits for company. Absent or 0: what is given at once goes at once where nothing of its partition
   * is on its way, and what comes meanwhile is collected, so that batches grow with the load.
   */
  readonly lingerMs?: number;
  /** How long a record may be on its way, all tries together. Absent: 2 min. */
  readonly deliveryTimeoutMs?: number;
  /** How long one try may take. Absent: 30 s. */
  readonly requestTimeoutMs?: number;
  /** Bytes that may wait to be acknowledged. Absent: 32 MiB. */
  readonly bufferBytesMax?: number;
  /**
   * Whether what is sent again is stored once, in the order in which it was given, with many batches of a partition on
   * their way at once. Needs acks all. Absent: yes with acks all, no with others.
   */
  readonly idempotence?: boolean;
  /** Bytes that may be on their way to one endpoint, which one batch may go beyond. Absent: 8 MiB. */
  readonly inFlightBytesMax?: number;
}

/** What may be said of one record's sending. */
export interface SendOptions {
  readonly signal?: AbortSignal;
}

/**
 * Sends records. Those of one partition are stored in the order in which they were given, through every retry. An
 * idempotent producer's are stored once; without idempotence a record that was sent again may stand twice.
 */
export interface Producer {
  /**
   * Resolves when the outcome is known; never rejects. Waits for room where the buffer is full. Aborting `signal` ends
   * the waiting: with notApplied before the record was taken in, with unknown afterwards, since it may still be stored.
   */
  send(topic: string, record: RecordToSend, options?: SendOptions): Promise<RecordOutcome>;
  /**
   * The cheap form: no promise a record. The topic has to be known (`prepare`). Returns false once the buffer is full:
   * then wait for `writable()` before giving more. `settle` may be told before this returns.
   */
  enqueue(topic: string, record: RecordToSend, settle: Settle): boolean;
  /**
   * Learns what `enqueue` has to know of a topic. Fails with a TidemarkError, as where there is no such topic, and with
   * the signal's reason once that is aborted.
   */
  prepare(topic: string, signal?: AbortSignal): Promise<void>;
  /** Resolves when the buffer has room. Rejects with the signal's reason once that is aborted. */
  writable(signal?: AbortSignal): Promise<void>;
  /**
   * Sends without lingering. Resolves when every record given so far is settled. Rejects with the signal's reason once
   * that is aborted; the records are sent all the same.
   */
  flush(signal?: AbortSignal): Promise<void>;
  /**
   * Flushes and ends. What is not settled when `signal` is aborted is settled at once. A second call waits for the same end,
   * and its signal counts too.
   */
  close(signal?: AbortSignal): Promise<void>;
}

const defaults = {
  acks: "all",
  batchBytesMax: 256 * 1024,
  lingerMs: 0,
  deliveryTimeoutMs: 120_000,
  requestTimeoutMs: 30_000,
  bufferBytesMax: 32 * 2 ** 20,
  inFlightBytesMax: 8 * 2 ** 20,
} as const;

/** Batches of a partition that an idempotent producer has on their way at most: what brokers remember (R11). */
const windowBatches = 64;

const acksOf: Readonly<Record<AcksName, Acks>> = { none: Acks.NONE, leader: Acks.LEADER, all: Acks.ALL };

/** Bytes and times of which none are no option but a mistake: nothing would ever be sent, or all would be late. */
const positiveOptions = [
  "batchBytesMax",
  "deliveryTimeoutMs",
  "requestTimeoutMs",
  "bufferBytesMax",
  "inFlightBytesMax",
] as const;

function checkOptions(options: ProducerOptions): void {
  checkChoice("acks", options.acks, Object.keys(acksOf));
  checkNumber("lingerMs", options.lingerMs, 0);
  for (const name of positiveOptions) checkNumber(name, options[name], 1);
}

/**
 * Throws REASON_UNSUPPORTED_CODEC where the codec asked for cannot be loaded here, REASON_INVALID_ARGUMENT for idempotence
 * with other acks than all, and for an option that is none.
 */
export function createProducer(connection: Connection, given: ProducerOptions): Producer {
  const options = { ...defaults, ...optionsGiven(given) };
  checkOptions(options);
  const { runtime, topics, codecs, routes } = connection;
  const codec = codecOf(connection, options.compression);
  const isIdempotent = options.idempotence ?? options.acks === "all";
  if (isIdempotent && options.acks !== "all") throw needsAcksAll();
  const identities = createProducerIdentities(async (endpoint, raised) => {
    const asked = await connection
      .produceAt(endpoint)
      .initProducer(raised ?? {}, { timeoutMs: Math.min(options.requestTimeoutMs, options.deliveryTimeoutMs) });
    // An answer is a message of its own type, and no request takes it as it is.
    return { producerId: asked.producerId, producerEpoch: asked.producerEpoch };
  });
  const buffer = createBuffer(options.bufferBytesMax);
  const report = reportAtExit();
  const queues = new Map<string, Map<number, PartitionQueue>>();
  const partitioners = new Map<string, Partitioner>();
  let closing: Promise<void> | undefined;
  /** Aborted when the producer is closed: whoever waits for the cluster is let go. */
  const ended = new AbortController();
  const links = createBatchLinks(connection, {
    inFlightBytesMax: options.inFlightBytesMax,
    onRoom() {
      for (const queue of allQueues()) queue.pump();
    },
  });

  const leftBehind = createLeftBehind({
    runtime,
    leaderOf: (topic, partition) => routes.leaderOf(topic, partition),
    ask: (topic) => topics.ask(topic),
  });

  /** To the leader where that is known and can be reached, else by the bootstrap endpoint. */
  const senderOf = (topic: string, partition: number): BatchSender => ({
    endpoint() {
      // Leaders move, and topics are made anew: what is known is kept fresh, also where nothing more is given.
      topics.known(topic);
      return routes.endpointOf(topic, partition);
    },
    hasRoom: (endpoint) => links.hasRoom(endpoint),
    heed(endpoint, error) {
      routes.heed({ topic, partition }, endpoint, error);
      topics.doubt(topic);
    },
    async send(endpoint, batches, { timeoutMs, traceparent }) {
      const target = { topic, partition, acks: acksOf[options.acks], batches, timeoutMs };
      try {
        const answer = links.send(endpoint, traceparent === undefined ? target : { ...target, traceparent });
        return await leftBehind.heard(target, endpoint, answer);
      } catch (error) {
        routes.heed({ topic, partition }, endpoint, error);
        topics.doubt(topic);
        throw error;
      }
    },
  });

  const queueOf = (topic: string, partition: number): PartitionQueue => {
    const ofTopic = getOrMake(queues, topic, () => new Map<number, PartitionQueue>());
    return getOrMake(ofTopic, partition, () =>
      createPartitionQueue({
        ...options,
        partition,
        runtime,
        codec,
        codecs,
        onSettled({ records, bytes }) {
          report.unsettled -= records;
          buffer.give(bytes);
        },
        startSpan: () => startProduceSpan(topic, partition, options.acks),
        sender: senderOf(topic, partition),
        inFlightBatchesMax: isIdempotent ? windowBatches : 1,
        sequencer: isIdempotent ? createSequencer(identities) : undefined,
      }),
    );
  };

  const partitionFor = (topic: string, named: number | undefined, record: ProducedRecord): number | undefined => {
    const facts = topics.known(topic);
    if (named !== undefined) return named;
    if (facts === undefined) return undefined;
    const partitioner = getOrMake(partitioners, topic, () => createPartitioner(runtime.random, options.batchBytesMax));
    return partitioner.choose(record, facts.partitions);
  };

  const allQueues = () => [...queues.values()].flatMap((ofTopic) => [...ofTopic.values()]);

  const flush = async () => {
    await Promise.all(allQueues().map((queue) => queue.flush()));
  };

  const finish = async () => {
    await flush();
    links.close();
    report.close();
  };

  const abandon = () => {
    for (const queue of allQueues()) queue.abandon(closedError());
  };

  /** As long as a record may be on its way: the cluster may be about to be there. A topic that is not is not waited for. */
  const waits = createTopicWaits({ topics, runtime, patienceMs: options.deliveryTimeoutMs, ended: ended.signal });
  const turns = createTurns();

  const producer: Producer = {
    async prepare(topic, signal) {
      await orAborted(topics.describe(topic), signal);
    },
    enqueue(topic, record, settle) {
      const refuse = (error: TidemarkError) => {
        settle({ kind: "notApplied", error });
        return !buffer.isFull();
      };
      const refusal = closing === undefined ? refuseRecord(record) : closedError();
      if (refusal !== undefined) return refuse(refusal);
      const produced = toProduced(record, runtime.clock.wallMs());
      const partition = partitionFor(topic, record.partition, produced);
      if (partition === undefined) return refuse(unprepared(topic));
      report.unsettled += 1;
      buffer.take(queueOf(topic, partition).add(produced, settle, activeCaller()));
      return !buffer.isFull();
    },
    async send(topic, record, { signal } = {}) {
      const isKnown = record.partition !== undefined || topics.known(topic) !== undefined;
      const turn = isKnown && !buffer.isFull() && !turns.isTaken(topic) ? undefined : turns.take(topic);
      try {
        if (!isKnown) await waits.untilKnown(topic, signal);
        if (turn !== undefined) await orAborted(turn.before, signal);
        // Whoever waited beside this one may have filled the room already.
        while (buffer.isFull() && closing === undefined) await buffer.writable(signal);
        signal?.throwIfAborted();
      } catch (error) {
        turn?.end();
        if (signal?.aborted) return { kind: "notApplied", error: abortedError(Outcome.NOT_APPLIED, signal) };
        if (ended.signal.aborted) return { kind: "notApplied", error: closedError() };
        if (error instanceof TidemarkError) return { kind: "notApplied", error };
        throw error;
      }
      const outcome = new Promise<RecordOutcome>((resolve) => {
        producer.enqueue(topic, record, resolve);
      });
      turn?.end();
      if (signal === undefined) return outcome;
      return orAborted(outcome, signal).catch(() => ({
        kind: "unknown",
        error: abortedError(Outcome.UNKNOWN, signal),
      }));
    },
    writable: buffer.writable,
    flush: (signal) => orAborted(flush(), signal),
    async close(signal) {
      closing ??= finish();
      ended.abort();
      if (signal?.aborted) abandon();
      signal?.addEventListener("abort", abandon, { once: true });
      await closing;
      signal?.removeEventListener("abort", abandon);
    },
  };
  return producer;
}

function codecOf(connection: Connection, name: CodecName | undefined) {
  if (name === undefined || name === "none") return undefined;
  const codec = connection.codecs[name];
  if (codec !== undefined) return codec;
  throw new TidemarkError({ reason: Reason.UNSUPPORTED_CODEC, message: `The codec ${name} cannot be loaded here` });
}

function getOrMake<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

function closedError(): TidemarkError {
  return new TidemarkError({
    reason: Reason.CANCELLED,
    message: "The producer was closed before the record was sent",
    outcome: Outcome.NOT_APPLIED,
  });
}

function abortedError(outcome: Outcome, { reason }: AbortSignal): TidemarkError {
  const message =
    outcome === Outcome.UNKNOWN
      ? "Not waited for any longer: the record may still be stored"
      : "Given up before the record was sent";
  return new TidemarkError({ reason: Reason.CANCELLED, message, outcome, cause: reason });
}

function needsAcksAll(): TidemarkError {
  return new TidemarkError({
    reason: Reason.INVALID_ARGUMENT,
    message: "An idempotent producer needs acks all: what is acknowledged earlier may be gone when it is sent again",
    outcome: Outcome.NOT_APPLIED,
  });
}

function unprepared(topic: string): TidemarkError {
  return new TidemarkError({
    reason: Reason.INVALID_ARGUMENT,
    message: `Nothing is known of the topic ${topic} yet: prepare("${topic}") goes before enqueue`,
    outcome: Outcome.NOT_APPLIED,
  });
}
