/** Replica streams over real connections of this machine, with partitions that a test holds in its hands. */
import { crc32c } from "@tidemark/compression";
import { type BrokerId, brokerId, leaderEpoch, noLeaderEpoch, offset, partitionIndex, topicId } from "@tidemark/ids";
import type { ReplicaId } from "@tidemark/log";
import { encodeBatch, iterateBatches, nextOffsetOf, stampBatch } from "@tidemark/record";
import type {
  FetchSession,
  ReplicaFetch,
  ReplicaFlushed,
  ReplicaPosition,
  ReplicaResponse,
} from "@tidemark/replication";
import {
  createChannel,
  createRpcServer,
  type Keepalive,
  type RpcChannel,
  type RpcServer,
  type ServedService,
  type TrafficClass,
} from "@tidemark/rpc";
import { createNodeRuntime, type Scheduler } from "@tidemark/runtime";
import { createLogger } from "@tidemark/telemetry";
import { afterEach, expect } from "vitest";
import { defaultStreamLimits, type StreamLimits } from "../limits.ts";
import type { BatchesRead, ReplicaReceiving, ReplicaReply, ReplicaServing } from "../replica-exchange.ts";
import type { ReplicaInspection } from "../replica-inspection.ts";
import { createReplicaStreams, type ReplicaStreams } from "../replica-streams.ts";

export const runtime = createNodeRuntime();
export const leaderId: BrokerId = brokerId(1);
export const followerId: BrokerId = brokerId(2);

const cleanups: (() => Promise<void> | void)[] = [];

/** Runs after the test, the last one first. */
export function cleanUp(cleanup: () => Promise<void> | void): void {
  cleanups.push(cleanup);
}

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Expects what `look` returns to become something, as long as a busy machine may take for it. */
export function eventually<Value>(look: () => Value) {
  return expect.poll(look, { timeout: 20_000, interval: 2 });
}

export function replica(partition: number): ReplicaId {
  return { topicId: topicId("00000000-0000-4000-8000-000000000001"), partition: partitionIndex(partition) };
}

/** A fetch of a follower that has flushed everything below `from`. */
export function fetchFrom(from: number, more: Partial<ReplicaFetch> = {}): ReplicaFetch {
  const at = offset(BigInt(from));
  return {
    replica: followerId,
    brokerEpoch: 7 as never,
    leaderEpoch: leaderEpoch(3),
    session: 1 as FetchSession,
    fetchOffset: at,
    fetched: at,
    lastFetchedEpoch: from === 0 ? noLeaderEpoch : leaderEpoch(3),
    flushed: at,
    ...more,
  };
}

export function flushedUpTo(flushed: number, position?: ReplicaPosition): ReplicaFlushed {
  const { replica: from, brokerEpoch, leaderEpoch: epoch, session } = fetchFrom(0);
  const report = { replica: from, brokerEpoch, leaderEpoch: epoch, session, flushed: offset(BigInt(flushed)) };
  return position === undefined ? report : { ...report, position };
}

/** A batch of one record at `base`, stamped, of at least so many bytes. */
export function batchAt(base: number, bytes = 100): Uint8Array {
  const value = new Uint8Array(bytes).fill(base % 251);
  const made = encodeBatch([{ timestamp: 0n, key: null, value, headers: [] }], { crc32c });
  stampBatch(made, 0, { baseOffset: offset(BigInt(base)), leaderEpoch: leaderEpoch(3) });
  return made;
}

export interface ServedFetch {
  readonly partition: number;
  readonly fetch: ReplicaFetch;
  /** The offset from which a fetch that stands is asked on; `fetch` is then made up. Undefined: its follower asked. */
  readonly goesOnFrom: number | undefined;
  readonly deadlineMs: number;
  readonly reply: (reply: ReplicaReply) => void;
  isCancelled: boolean;
}

/** Partitions that keep every fetch until the test replies, or reply as `onFetch` says. */
export interface FakeServing extends ReplicaServing {
  readonly fetches: ServedFetch[];
  readonly reports: { readonly partition: number; readonly report: ReplicaFlushed }[];
}

export function createFakeServing(onFetch: (fetch: ServedFetch) => void = () => undefined): FakeServing {
  const serve = (served: ServedFetch) => {
    serving.fetches.push(served);
    onFetch(served);
    return () => {
      served.isCancelled = true;
    };
  };
  const serving: FakeServing = {
    fetches: [],
    reports: [],
    fetch: ({ partition }, fetch, deadlineMs, reply) =>
      serve({ partition, fetch, goesOnFrom: undefined, deadlineMs, reply, isCancelled: false }),
    goOn({ partition }, { fetchOffset, session }, deadlineMs, reply) {
      const fetch = fetchFrom(Number(fetchOffset), { session });
      return serve({ partition, fetch, goesOnFrom: Number(fetchOffset), deadlineMs, reply, isCancelled: false });
    },
    flushed({ partition }, report) {
      serving.reports.push({ partition, report });
    },
  };
  return serving;
}

const noOffset = offset(0n);

/** What a log gives for batches: the offset behind the last one. */
export function readOf(batches: readonly Uint8Array[]): BatchesRead {
  let nextOffset = noOffset;
  for (const bytes of batches) {
    for (const step of iterateBatches(bytes)) {
      if (step.kind !== "ok") break;
      nextOffset = nextOffsetOf(step.header);
    }
  }
  return { batches, nextOffset, sent: () => [] };
}

/** A reply with batches; they are read whatever the limit, unless `read` is given. */
export function records(
  batches: readonly Uint8Array[],
  more: Partial<Extract<ReplicaReply, { kind: "records" }>> = {},
): ReplicaReply {
  const logEnd = offset(1000n);
  const read = () => Promise.resolve(readOf(batches));
  return { kind: "records", highWatermark: noOffset, logStart: noOffset, logEnd, read, ...more };
}

export function nothingNew(): ReplicaReply {
  return records([], { read: undefined });
}

/** A leader that has a record for every offset: a batch of `bytes` each, as many as are asked for. */
export function endlessRecords(fetch: ReplicaFetch, bytes: number, logEnd?: number): ReplicaReply {
  const first = Number(fetch.fetchOffset);
  const read = (maxBytes: number) => {
    const count = Math.max(1, Math.floor(maxBytes / batchAt(0, bytes).length));
    const batches = Array.from({ length: count }, (_, index) => batchAt(first + index, bytes));
    return Promise.resolve(readOf([Buffer.concat(batches)]));
  };
  return records([], { read, ...(logEnd === undefined ? {} : { logEnd: offset(BigInt(logEnd)) }) });
}

export interface Received {
  readonly partition: number;
  readonly response: ReplicaResponse;
  readonly bytes: Uint8Array;
  readonly release: () => void;
}

/** Partitions that keep every response. They release its bytes at once, unless `onResponse` does it. */
export interface FakeReceiving extends ReplicaReceiving {
  readonly responses: Received[];
}

export function createFakeReceiving(
  onResponse: (received: Received) => void = ({ release }) => release(),
): FakeReceiving {
  const receiving: FakeReceiving = {
    responses: [],
    response({ partition }, response, bytes, release) {
      const received = { partition, response, bytes, release };
      receiving.responses.push(received);
      onResponse(received);
    },
  };
  return receiving;
}

const nobody: ReplicaInspection = {
  brokerEpoch: () => undefined,
  replicas: () => [],
  log: () => undefined,
  trouble: () => undefined,
  regressedFrom: () => undefined,
  isForeign: () => false,
  ledIn: () => undefined,
};

/** The lines that the streams log. */
export const logged: string[] = [];
afterEach(() => {
  logged.length = 0;
});

const logger = createLogger({
  clock: runtime.clock,
  level: "debug",
  service: "test",
  instanceId: "test",
  write: (line) => logged.push(line),
});

export interface StreamsSetup {
  readonly brokerId: BrokerId;
  readonly serving?: ReplicaServing;
  readonly receiving?: ReplicaReceiving;
  readonly inspection?: ReplicaInspection;
  readonly endpointOf?: (broker: BrokerId) => string | undefined;
  readonly limits?: Partial<StreamLimits>;
  readonly keepalive?: Keepalive;
  /** In place of real timers: those of the streams, not those of their connections. */
  readonly scheduler?: Scheduler;
  /** Changes a connection before it is used. */
  readonly wrapChannel?: (channel: RpcChannel) => RpcChannel;
  /** Told of each connection that is opened. */
  readonly onOpen?: (endpoint: string, trafficClass: TrafficClass) => void;
}

export function createStreams(setup: StreamsSetup): ReplicaStreams {
  const streams = createReplicaStreams({
    brokerId: setup.brokerId,
    partitions: { ...createFakeServing(), ...createFakeReceiving(), ...setup.serving, ...setup.receiving },
    inspection: setup.inspection ?? nobody,
    endpointOf: setup.endpointOf ?? (() => undefined),
    openChannel(endpoint, trafficClass) {
      setup.onOpen?.(endpoint, trafficClass);
      const { keepalive } = setup;
      const options = { trafficClass, runtime, ...(keepalive === undefined ? {} : { keepalive }) };
      const channel = createChannel(endpoint, options);
      return setup.wrapChannel?.(channel) ?? channel;
    },
    runtime: { ...runtime, scheduler: setup.scheduler ?? runtime.scheduler },
    crc32c,
    waitMs: 500,
    logger,
    limits: { ...defaultStreamLimits, ...setup.limits },
  });
  cleanUp(() => streams.fetcher.stop());
  return streams;
}

export interface TestLeader {
  readonly server: RpcServer;
  readonly port: number;
  readonly endpoint: string;
  readonly defects: unknown[];
}

/** A server with one service on its internal listener, stopped after the test. */
export async function listen(service: ServedService, port = 0): Promise<TestLeader> {
  const defects: unknown[] = [];
  const server = createRpcServer({
    runtime,
    hooks: { onDefect: (thrown) => defects.push(thrown) },
    listeners: { internal: { port, services: [service] } },
  });
  const { internal } = await server.start();
  if (internal === undefined) throw new Error("The listener is not bound.");
  cleanUp(() => server.stop(0));
  return { server, port: internal.port, endpoint: `127.0.0.1:${internal.port}`, defects };
}

/** A leader with these partitions, served on a free port. */
export function startLeader(
  serving: ReplicaServing,
  setup: Partial<StreamsSetup> & { readonly port?: number } = {},
): Promise<TestLeader> {
  return listen(createStreams({ brokerId: leaderId, serving, ...setup }).service, setup.port);
}

/** A follower whose fetches go to where `endpoint` says. */
export function startFollower(
  endpoint: string | (() => string | undefined),
  receiving: ReplicaReceiving,
  setup: Partial<StreamsSetup> = {},
): ReplicaStreams["fetcher"] {
  const endpointOf = typeof endpoint === "string" ? () => endpoint : endpoint;
  return createStreams({ brokerId: followerId, receiving, endpointOf, ...setup }).fetcher;
}
