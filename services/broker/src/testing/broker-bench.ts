/** A broker's data service over disks and time that a test holds in its hands. */

import { loadCodecs } from "@tidemark/compression";
import type { MetadataVersion } from "@tidemark/controller-link";
import { createMemoryDisk, type MemoryDisk } from "@tidemark/disk";
import {
  type BrokerId,
  brokerEpoch,
  brokerId,
  controllerEpoch,
  leaderEpoch,
  offset,
  partitionEpoch,
  partitionIndex,
  revision,
  topicId,
} from "@tidemark/ids";
import { allGuards, type LogDirectory, type LogGuards, openLogDirectory } from "@tidemark/log";
import { applyChanges, emptyImage, type MetadataChange, type MetadataImage, type Partition } from "@tidemark/metadata";
import { portableCrc32c } from "@tidemark/record";
import { defaultSettings } from "@tidemark/replication";
import { type CallContext, createByteBudget } from "@tidemark/rpc";
import { createManualTime, createSeededRandom, type ManualTime } from "@tidemark/runtime";
import { createDisabledTracer, createLogger, type Tracer } from "@tidemark/telemetry";
import { createAppender } from "../api/append.ts";
import { createDescribeLog, createExplainOffset } from "../api/describe.ts";
import { createFetch } from "../api/fetch.ts";
import { createFetchTracer } from "../api/fetch-trace.ts";
import { createListOffsets } from "../api/offsets.ts";
import { createProduce } from "../api/produce.ts";
import { createProduceStream } from "../api/produce-stream.ts";
import { createProduceTracer } from "../api/produce-trace.ts";
import { createSubscribe } from "../api/subscribe.ts";
import type { BrokerMetrics } from "../metrics/broker-metrics.ts";
import type { PartitionLinks } from "../partition/replica-state.ts";
import { createPartitionTable } from "../table/partition-table.ts";
import { gateDisk } from "./gated-disk.ts";

const uncounted: BrokerMetrics = { produced: () => undefined, fetched: () => undefined, flushed: () => undefined };

export const self: BrokerId = brokerId(1);
const other = brokerId(2);
const directory = "/log";
const idOf = (number: number) => topicId(`00000000-0000-4000-8000-${String(number).padStart(12, "0")}`);

/** A topic as a test describes it: partitions that are led here unless another broker is named. */
export interface TestTopic {
  readonly name: string;
  readonly number?: number;
  readonly partitions?: number;
  readonly ledByOther?: readonly number[];
  readonly settings?: Readonly<Record<string, string>>;
  readonly leaderEpoch?: number;
}

export interface BenchOptions {
  readonly disk?: MemoryDisk;
  readonly time?: ManualTime;
  readonly seed?: number;
  readonly guards?: LogGuards;
  readonly tracer?: Tracer;
  /** Absent: nothing is counted. */
  readonly metrics?: BrokerMetrics;
  /** The logs are open, and nothing is served: as before the first registration. */
  readonly isUnregistered?: boolean;
  /** What the controller says to a broker that asks whether it leads; undefined, or absent: nothing. */
  readonly confirms?: () => boolean | undefined;
  /** What the messages of all produce streams may cost that are not answered. Default: 1 GiB. */
  readonly unansweredBytesMax?: number;
}

/** Metadata with these topics and two brokers. */
export function imageOf(topics: readonly TestTopic[], more: readonly MetadataChange[] = []): MetadataImage {
  const changes: MetadataChange[] = [self, other].map((id) => ({
    kind: "brokerSession",
    brokerId: id,
    value: {
      brokerId: id,
      brokerEpoch: 1 as never,
      incarnationId: "i",
      directoryIds: [],
      endpoints: [{ listener: "client", host: "127.0.0.1", port: 4660 + id }],
      rack: "",
      state: "running",
    },
  }));
  for (const topic of topics) {
    const id = idOf(topic.number ?? 1);
    const count = topic.partitions ?? 1;
    for (let index = 0; index < count; index++) {
      const leader = topic.ledByOther?.includes(index) ? other : self;
      const value: Partition = {
        topicId: id,
        partition: partitionIndex(index),
        replicas: [{ brokerId: leader, directoryId: undefined }],
        isr: [leader],
        elr: [],
        minIsr: 1,
        leader,
        leaderEpoch: leaderEpoch(topic.leaderEpoch ?? 3),
        partitionEpoch: partitionEpoch(topic.leaderEpoch ?? 3),
        controllerEpoch: controllerEpoch(1),
        adding: [],
        removing: [],
        recovering: false,
        logStart: offset(0n),
      };
      changes.push({ kind: "partition", topicId: id, partition: value.partition, value });
    }
    changes.push({
      kind: "topic",
      name: topic.name,
      value: {
        name: topic.name,
        topicId: id,
        partitions: count,
        replicationFactor: 1,
        settings: new Map(Object.entries(topic.settings ?? {})),
      },
    });
  }
  return applyChanges(emptyImage, [...changes, ...more]).image;
}

/** Nobody else is there: one replica has nobody to talk to. */
const deafLinks: PartitionLinks = {
  fetcher: { fetch: () => undefined, flushed: () => undefined },
  alterPartition: () => undefined,
  confirmLeader: () => undefined,
};

/** Opens the log directory and makes a data service over it, which serves the topics of `image`. */
export async function createBrokerBench(image: MetadataImage, options: BenchOptions = {}) {
  const disk = options.disk ?? (await newDisk());
  const gated = gateDisk(disk);
  const time = options.time ?? createManualTime();
  const metrics = options.metrics ?? uncounted;
  const runtime = { ...time, random: createSeededRandom(options.seed ?? 1) };
  const logs: string[] = [];
  const failures: string[] = [];
  const opened: LogDirectory = await openLogDirectory({
    path: directory,
    disk: gated,
    runtime,
    crc32c: portableCrc32c,
    owner: { clusterId: "c", nodeId: self },
    onFailure: (error) => failures.push(error.message),
    createMissing: true,
    guards: options.guards ?? allGuards,
  });
  const registered = { controllerEpoch: controllerEpoch(1), revision: revision(1n) };
  const apply = (to: MetadataImage, version: MetadataVersion = registered) => table.apply({ image: to, ...version });
  const table = createPartitionTable({
    brokerId: self,
    directories: [opened],
    replication: defaultSettings,
    links: {
      ...deafLinks,
      confirmLeader(_, { confirmation }, answered) {
        time.scheduler.after(1, () => {
          const leads = options.confirms?.();
          if (leads === undefined) return;
          answered({ kind: "leadershipConfirmed", confirmation, leads, nowMs: time.clock.monotonicMs() });
        });
      },
    },
    doAllDirectoriesWork: () => true,
    onNewEpochNeeded: () => undefined,
    defaults: {
      "log.segment.bytes": 2 ** 20,
      "log.roll.ms": 2 ** 31,
      "log.flush": "sync",
      "log.message.timestamp.type": "CreateTime",
      "message.max.bytes": 64 * 1024,
    },
    clock: runtime.clock,
    logger: createLogger({
      clock: runtime.clock,
      level: "info",
      service: "test",
      instanceId: "test",
      write: (line) => logs.push(line),
    }),
  });
  const register = async () => {
    table.registered({ brokerEpoch: brokerEpoch(1), ...registered });
    await apply(image);
  };
  if (options.isUnregistered === true) await table.openListed({ image, ...registered });
  else await register();
  const { codecs } = await loadCodecs();
  const tracer = options.tracer ?? createDisabledTracer(runtime.random);
  const { clock, scheduler, random } = runtime;
  const produceTracer = createProduceTracer(tracer, clock);
  const appender = createAppender({ clock, scheduler, tracer: produceTracer, metrics });
  const reading = {
    table,
    codecs,
    clock,
    scheduler,
    tracer: createFetchTracer(tracer, clock),
    metrics,
    controllerHeardMs: () => clock.monotonicMs(),
  };
  return {
    apply,
    register,
    disk,
    gated,
    time,
    table,
    directory: opened,
    logs,
    failures,
    produce: createProduce({ table, appender, tracer: produceTracer, codecs, clock, random }),
    produceStream: createProduceStream({
      table,
      appender,
      tracer: produceTracer,
      codecs,
      scheduler,
      unansweredBudget: createByteBudget({ name: "process", limit: options.unansweredBytesMax ?? 2 ** 30 }),
    }),
    fetch: createFetch(reading),
    subscribe: createSubscribe(reading),
    listOffsets: createListOffsets(table, clock),
    describeLog: createDescribeLog(table, self),
    explainOffset: createExplainOffset(table),
    stop: async () => {
      await table.close();
      await opened.close();
    },
  };
}

export type BrokerBench = Awaited<ReturnType<typeof createBrokerBench>>;

async function newDisk(): Promise<MemoryDisk> {
  const disk = createMemoryDisk();
  await disk.makeDirectory(directory);
  await disk.syncDirectory("/");
  return disk;
}

/** What a handler knows of a call, with nothing special in it. */
export function callContext(more: Partial<CallContext> = {}): CallContext {
  return {
    method: undefined as never,
    signal: new AbortController().signal,
    timeoutMs: () => undefined,
    metadata: undefined as never,
    traceparent: undefined,
    tracestate: undefined,
    peer: "127.0.0.1:1",
    identity: undefined,
    listener: "client",
    setTrailer: () => undefined,
    ...more,
  };
}
