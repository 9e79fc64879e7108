/** A data service in memory behind the client's own seams: logs, and what goes wrong on the way, said beforehand. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { loadCodecs } from "@tidemark/compression";
import type { Offset } from "@tidemark/ids";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import {
  type FetchRequestSchema,
  FetchResponseSchema,
  InitProducerRequestSchema,
  InitProducerResponseSchema,
  type ListOffsetsRequestSchema,
  ListOffsetsResponseSchema,
  Position,
  type ProduceRequestSchema,
  ProduceResponseSchema,
  ProduceStreamResponseSchema,
} from "@tidemark/proto/log/v1";
import { type Codecs, decodeRecords, nextOffsetOf, readBatchHeader, stampBatch } from "@tidemark/record";
import { createProducerTable, type SequenceRefusal } from "@tidemark/replication";
import { type CallOptions, TidemarkError, toErrorDetail } from "@tidemark/rpc";
import { createDeferred, createManualTime, createSeededRandom, type ManualTime } from "@tidemark/runtime";
import type { Connection, OpenProduceStream, ProduceMessage } from "../connection.ts";
import { createRoutes, type KnownLeader } from "../routes.ts";
import { createTopicCache } from "../topic-cache.ts";

/**
 * What happens to one produce: refused, by the call or in its answer; stored with its answer lost, or with none ever; held
 * until let go.
 */
export type Fault =
  | { readonly kind: "refuse"; readonly error: TidemarkError }
  | { readonly kind: "refuseInAnswer"; readonly error: TidemarkError }
  | { readonly kind: "loseAnswer"; readonly error: TidemarkError }
  | { readonly kind: "storeUnanswered" }
  | { readonly kind: "hold"; readonly until: Promise<void> };

/** One produce as it arrived. */
export interface SeenProduce {
  readonly endpoint: string;
  readonly partition: number;
  readonly values: readonly string[];
  readonly traceparent: string | undefined;
}

interface StoredBatch {
  readonly base: bigint;
  readonly next: bigint;
  readonly bytes: Uint8Array;
  readonly values: readonly string[];
}

export interface FakeCluster {
  readonly connection: Connection;
  readonly time: ManualTime;
  /** By stream or by call. */
  readonly seen: readonly SeenProduce[];
  /** Messages of produce streams, as they were written. */
  readonly streamed: readonly ProduceMessage[];
  /** Whether produce streams are refused, as by what cannot carry them. */
  withoutStreams: boolean;
  /** The most produces of one partition that were on their way at one moment. */
  readonly inFlightMost: () => number;
  /** Values in the order of their offsets. */
  valuesOf(partition: number): readonly string[];
  /** What happens to the next produces of a partition, one each; then all goes well. */
  onProduce(partition: number, ...faults: readonly Fault[]): void;
  /** Identities that were given out: `id:epoch`. */
  readonly identities: readonly string[];
  /** What the next calls for an identity fail with, one each. */
  onInit(...errors: readonly TidemarkError[]): void;
  /** Whether calls for an identity get no answer until their time is up. */
  initHangs: boolean;
  /** What the next questions about the topic fail with, one each. */
  onDescribe(...errors: readonly TidemarkError[]): void;
  /** What the next descriptions of the topic tell of a partition's leader, which can be reached directly. */
  lead(partition: number, leader: KnownLeader): void;
  /** Questions about the topic so far. */
  readonly described: () => number;
  /** Another id is another topic under the same name. Requests that name a former one are refused. */
  topicId: string;
  /** The partition knows nothing of any producer any more. */
  forgetProducers(partition: number): void;
  /** What the next fetches of a partition fail with, one each, beside what other partitions answer. */
  onFetch(partition: number, ...errors: readonly TidemarkError[]): void;
  /** Batches above this many bytes are refused. */
  batchBytesMax: number;
  /** How many batches of a partition one answer has. */
  batchesPerAnswer: number;
  /** Appends, as another producer would. */
  append(partition: number, batch: Uint8Array): void;
  /** Bytes that stand in a partition's log, to be damaged. */
  bytesOf(partition: number): readonly Uint8Array[];
  readonly fetches: readonly (readonly number[])[];
  /** Partitions of the fetches, one by one, as they were asked for. */
  readonly fetched: readonly NonNullable<MessageInitShape<typeof FetchRequestSchema>["partitions"]>[number][];
}

export const bootstrap = "gateway:4640";

export function refused(
  reason: Reason,
  fields: { readonly retriable?: boolean; readonly leader?: string; readonly leaderEpoch?: number } = {},
): TidemarkError {
  return new TidemarkError({
    reason,
    message: `Refused: ${reason}`,
    outcome: Outcome.NOT_APPLIED,
    ...(fields.retriable === undefined ? {} : { retriable: fields.retriable }),
    ...(fields.leader === undefined
      ? {}
      : { leader: { broker: 1, endpoint: fields.leader, leaderEpoch: fields.leaderEpoch ?? 1 } }),
  });
}

export function answerLost(): TidemarkError {
  return new TidemarkError({ reason: Reason.UNAVAILABLE, message: "The connection broke", outcome: Outcome.UNKNOWN });
}

export async function createFakeCluster(partitions = 1): Promise<FakeCluster> {
  const time = createManualTime();
  const { codecs } = await loadCodecs();
  const logs = Array.from({ length: partitions }, (): StoredBatch[] => []);
  const produceFaults = new Map<number, Fault[]>();
  const fetchFaults = new Map<number, TidemarkError[]>();
  const seen: SeenProduce[] = [];
  const streamed: ProduceMessage[] = [];
  const fetches: number[][] = [];
  const fetched: NonNullable<MessageInitShape<typeof FetchRequestSchema>["partitions"]>[number][] = [];
  const inFlight = new Map<number, number>();
  const tables = logs.map(() => createProducerTable());
  const initFaults: TidemarkError[] = [];
  const identities: string[] = [];
  const describeFaults: TidemarkError[] = [];
  const leaders = new Map<number, KnownLeader>();
  const routes = createRoutes(bootstrap, { isReachable: () => leaders.size > 0, avoid: () => undefined });
  let nextProducerId = 7n;
  let most = 0;
  let described = 0;

  const logOf = (partition: number): StoredBatch[] => {
    const log = logs[partition];
    if (log === undefined) throw refused(Reason.UNKNOWN_PARTITION);
    return log;
  };
  const endOf = (partition: number): bigint => logOf(partition).at(-1)?.next ?? 0n;

  const append = (partition: number, given: Uint8Array): bigint => {
    const bytes = given.slice();
    const base = endOf(partition);
    const stored = storedAt(partition, given);
    if (stored !== undefined) return stored;
    stampBatch(bytes, 0, { baseOffset: base as never, leaderEpoch: 0 as never });
    const values = valuesIn(bytes, codecs);
    const batch = readBatchHeader(bytes, 0);
    if (batch.kind !== "ok") throw new Error("Not a batch");
    // Compaction may have taken records: their offsets stay.
    logOf(partition).push({ base, next: nextOffsetOf(batch.header), bytes, values });
    return base;
  };

  /** Where the log holds the batch already. Refuses one that does not follow its producer's last one. */
  const storedAt = (partition: number, batch: Uint8Array): bigint | undefined => {
    const read = readBatchHeader(batch, 0);
    if (read.kind !== "ok" || read.header.producerId < 0n) return undefined;
    const producers = tables[partition];
    const verdict = producers?.check(read.header);
    if (verdict?.kind === "repeat") return verdict.baseOffset;
    if (verdict?.kind === "refuse") throw refused(reasonOf(verdict.reason));
    producers?.replay({ ...read.header, baseOffset: endOf(partition) as Offset });
    return undefined;
  };

  const initProducer = async (
    request: MessageInitShape<typeof InitProducerRequestSchema>,
    { timeoutMs = 0 }: CallOptions = {},
  ) => {
    await Promise.resolve();
    if (cluster.initHangs) {
      await poll(time, timeoutMs, undefined);
      throw refused(Reason.DEADLINE_EXCEEDED, { retriable: true });
    }
    // As the real one does, which takes no message of another type.
    const { producerId, producerEpoch = 0 } = create(InitProducerRequestSchema, request);
    const fault = initFaults.shift();
    if (fault !== undefined) throw fault;
    const given =
      producerId === undefined ? { producerId: nextProducerId++ } : { producerId, producerEpoch: producerEpoch + 1 };
    identities.push(`${given.producerId}:${"producerEpoch" in given ? given.producerEpoch : 0}`);
    return create(InitProducerResponseSchema, given);
  };

  const produce = async (
    endpoint: string,
    request: MessageInitShape<typeof ProduceRequestSchema>,
    options: CallOptions,
  ) => {
    const { partition = 0, batches = new Uint8Array() } = request;
    seen.push({ endpoint, partition, values: valuesIn(batches, codecs), traceparent: options.traceparent });
    const now = (inFlight.get(partition) ?? 0) + 1;
    inFlight.set(partition, now);
    most = Math.max(most, now);
    try {
      await Promise.resolve();
      if (batches.length > cluster.batchBytesMax) throw refused(Reason.MESSAGE_TOO_LARGE);
      const fault = produceFaults.get(partition)?.shift();
      if (fault?.kind === "refuse") throw fault.error;
      if (fault?.kind === "refuseInAnswer") {
        const { error } = fault;
        return create(ProduceResponseSchema, {
          results: [{ partition, error: toErrorDetail(error), message: error.message }],
        });
      }
      if (fault?.kind === "hold") await untilAborted(fault.until, options.signal);
      const baseOffset = append(partition, batches);
      if (fault?.kind === "loseAnswer") throw fault.error;
      if (fault?.kind === "storeUnanswered") await untilAborted(new Promise(() => undefined), options.signal);
      return create(ProduceResponseSchema, { results: [{ partition, baseOffset }] });
    } finally {
      inFlight.set(partition, (inFlight.get(partition) ?? 1) - 1);
    }
  };

  /** A stream that does with each message what `produce` does with a call; an answer that is lost breaks it. */
  const openProduceStream: OpenProduceStream = (endpoint, createListener) => {
    const listener = createListener();
    let isOpen = true;
    const close = (error?: TidemarkError) => {
      if (isOpen) Promise.resolve().then(() => listener.onClose?.(error), noRejection);
      isOpen = false;
    };
    return {
      write(message) {
        if (cluster.withoutStreams) {
          close(new TidemarkError({ reason: Reason.UNSUPPORTED, message: "No streams", outcome: Outcome.NOT_APPLIED }));
          return true;
        }
        streamed.push(message);
        const { sequence, traceparent } = message;
        const answer = (result: Record<string, unknown>) => {
          if (isOpen) listener.onMessage(create(ProduceStreamResponseSchema, { results: [{ sequence, ...result }] }));
        };
        produce(endpoint, message, traceparent === undefined ? {} : { traceparent }).then(
          ({ results: [result] }) => answer({ ...result }),
          (error: unknown) => {
            if (!(error instanceof TidemarkError)) throw error;
            if (error.outcome === Outcome.UNKNOWN) close(error);
            else answer({ error: toErrorDetail(error), message: error.message });
          },
        );
        return true;
      },
      end: close,
    };
  };

  const describe = async () => {
    described++;
    await Promise.resolve();
    const error = describeFaults.shift();
    if (error !== undefined) throw error;
    routes.learn({ topic: "t", topicId: cluster.topicId }, leaders);
    return { topicId: cluster.topicId, partitions };
  };

  const checkTopicId = ({ topicId = "" }: { readonly topicId?: string }) => {
    if (topicId !== "" && topicId !== cluster.topicId) throw refused(Reason.UNKNOWN_TOPIC_ID, { retriable: true });
  };

  const fetch = async (request: MessageInitShape<typeof FetchRequestSchema>, options: CallOptions) => {
    checkTopicId(request);
    const asked = (request.partitions ?? []).map((each) => ({
      partition: each.partition ?? 0,
      offset: each.start?.case === "offset" ? each.start.value : 0n,
    }));
    fetches.push(asked.map(({ partition }) => partition));
    fetched.push(...(request.partitions ?? []));
    const answers = asked.map(({ partition, offset }) => {
      const error = fetchFaults.get(partition)?.shift();
      if (error !== undefined) return { partition, error: toErrorDetail(error), message: error.message };
      const highWatermark = endOf(partition);
      if (offset > highWatermark) {
        const outside = new TidemarkError({
          reason: Reason.OFFSET_OUT_OF_RANGE,
          message: "Not there",
          logStart: 0n,
          highWatermark,
        });
        return { partition, error: toErrorDetail(outside), message: outside.message };
      }
      const stored = logOf(partition).filter(({ next }) => next > offset);
      const batches = Buffer.concat(stored.slice(0, cluster.batchesPerAnswer).map((batch) => batch.bytes));
      return { partition, highWatermark, leaderEpoch: 0, batches };
    });
    const hasSomething = answers.some((each) => "error" in each || each.batches.length > 0);
    if (!hasSomething) await poll(time, request.maxWaitMs ?? 0, options.signal);
    else await Promise.resolve();
    return create(FetchResponseSchema, { partitions: answers });
  };

  const listOffsets = async (request: MessageInitShape<typeof ListOffsetsRequestSchema>) => {
    const { target, partitions: asked = [] } = request;
    await Promise.resolve();
    checkTopicId(request);
    const isLatest = target?.case === "position" && target.value === Position.LATEST;
    const offsets = asked.map((partition) =>
      target?.case === "timestamp" ? { partition } : { partition, offset: isLatest ? endOf(partition) : 0n },
    );
    return create(ListOffsetsResponseSchema, { offsets });
  };

  const cluster: FakeCluster = {
    time,
    seen,
    streamed,
    withoutStreams: false,
    fetches,
    fetched,
    inFlightMost: () => most,
    batchBytesMax: Number.POSITIVE_INFINITY,
    batchesPerAnswer: 1,
    valuesOf: (partition) => logOf(partition).flatMap(({ values }) => values),
    bytesOf: (partition) => logOf(partition).map(({ bytes }) => bytes),
    onProduce: (partition, ...faults) => void produceFaults.set(partition, [...faults]),
    identities,
    onInit: (...errors) => void initFaults.push(...errors),
    initHangs: false,
    onDescribe: (...errors) => void describeFaults.push(...errors),
    lead: (partition, leader) => void leaders.set(partition, leader),
    described: () => described,
    topicId: "id",
    forgetProducers: (partition) => tables[partition]?.forget(),
    onFetch: (partition, ...errors) => void fetchFaults.set(partition, [...errors]),
    append: (partition, batch) => void append(partition, batch),
    connection: {
      runtime: { clock: time.clock, scheduler: time.scheduler, random: createSeededRandom(1) },
      codecs,
      topics: createTopicCache(describe, time.clock),
      routes,
      checkOpen: () => undefined,
      openProduceStream,
      produceAt: (endpoint) => ({
        initProducer,
        produce: (request, options = {}) => produce(endpoint, request, options),
      }),
      fetchAt: () => ({ fetch: (request, options = {}) => fetch(request, options), listOffsets }),
    },
  };
  return cluster;
}

function noRejection(error: unknown): never {
  throw new Error("A listener threw", { cause: error });
}

function valuesIn(bytes: Uint8Array, codecs: Codecs): readonly string[] {
  const result = readBatchHeader(bytes, 0);
  if (result.kind !== "ok") throw new Error("Not a batch");
  const decoded = decodeRecords(bytes, result.header, { codecs, maxDecompressedBytes: 2 ** 26 });
  if (decoded.kind !== "ok") throw new Error(decoded.reason);
  return Array.from(decoded.records, ({ value }) => (value === null ? "null" : new TextDecoder().decode(value)));
}

async function untilAborted(until: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  const aborted = createDeferred();
  const cancel = () =>
    aborted.reject(new TidemarkError({ reason: Reason.CANCELLED, message: "Cancelled", outcome: Outcome.UNKNOWN }));
  signal?.addEventListener("abort", cancel, { once: true });
  await Promise.race([until, aborted.promise]);
}

async function poll(time: ManualTime, waitMs: number, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    time.scheduler.after(waitMs, resolve);
    signal?.addEventListener("abort", () => reject(refused(Reason.CANCELLED)), { once: true });
  });
}

function reasonOf(refusal: SequenceRefusal): Reason {
  switch (refusal) {
    case "PRODUCER_ID_NOT_GIVEN":
      return Reason.INVALID_ARGUMENT;
    case "TOO_MANY_PRODUCERS":
      return Reason.RESOURCE_EXHAUSTED;
    case "UNKNOWN_PRODUCER":
    case "FENCED_PRODUCER":
    case "OUT_OF_ORDER_SEQUENCE":
      return Reason[refusal];
  }
}
