import { crc32c } from "@tidemark/compression";
import type { ActiveController } from "@tidemark/controller-link";
import type { Disk } from "@tidemark/disk";
import { brokerId } from "@tidemark/ids";
import type { Codecs } from "@tidemark/record";
import type { ProducerSettings, ReplicationSettings } from "@tidemark/replication";
import type { ByteBudget, RpcChannel, ServedService, TrafficClass } from "@tidemark/rpc";
import type { Runtime } from "@tidemark/runtime";
import type { Logger, Metrics, Tracer } from "@tidemark/telemetry";
import { createAdminService } from "./api/admin-service.ts";
import { createLogService } from "./api/log-service.ts";
import {
  type BrokerParts,
  isOfflineHere,
  join,
  leave,
  noteControllerEpoch,
  open,
  stop,
  tableOf,
} from "./broker-life.ts";
import { createCatchingUp } from "./catching-up.ts";
import { createProducerIds } from "./controller/producer-ids.ts";
import { describeDirectories, describeLed } from "./describe-broker.ts";
import type { BrokerExperiment } from "./experiment.ts";
import { internalEndpoint, lazyTable } from "./lazy-table.ts";
import { createBrokerMetrics } from "./metrics/broker-metrics.ts";
import { createOwnMetadata } from "./own-metadata.ts";
import type { TopicDefaults } from "./partition/topic-log-settings.ts";
import { createReplicaStreams } from "./replication/replica-streams.ts";
import { createStoredLogStarts } from "./replication/stored-log-starts.ts";
import { createPartitionEvents } from "./tracing/partition-events.ts";
import type { UpkeepOptions } from "./upkeep/upkeep.ts";

export interface BrokerOptions {
  readonly nodeId: number;
  /** Undefined: whichever cluster the controller belongs to. */
  readonly clusterId: string | undefined;
  readonly rack: string;
  /** Identifies the boot of the machine. Empty: not known. */
  readonly bootId: string;
  readonly logDirs: readonly string[];
  readonly heartbeatIntervalMs: number;
  /** How long a stop waits for the leaderships to be moved, in milliseconds. */
  readonly controlledShutdownMaxMs: number;
  readonly topicDefaults: TopicDefaults;
  readonly upkeep: UpkeepOptions["settings"];
  readonly replication: ReplicationSettings;
  readonly producers: ProducerSettings;
  readonly controller: ActiveController;
  /** Opens a connection of its own to another broker; whoever opens it closes it. */
  readonly openChannel: (endpoint: string, trafficClass: TrafficClass) => RpcChannel;
  readonly runtime: Runtime;
  /** A disk for each log directory, so that one that hangs leaves the others alone. */
  readonly diskFor: (directory: string) => Disk;
  readonly codecs: Codecs;
  /** How many times larger the records of a producer's compressed batch may become. Absent: as much as readers take. */
  readonly decompressionRatioMax?: number;
  /** What the messages of all produce streams may cost that are not answered. Absent: a quarter of the heap. */
  readonly unansweredBudget?: ByteBudget;
  readonly tracer: Tracer;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly experiment?: BrokerExperiment;
  /** Told whenever the broker becomes ready, or is not any more; not ready at first. Absent: nobody asks. */
  readonly onReady?: (isReady: boolean) => void;
  /** The broker cannot go on. */
  readonly onFatal: (error: Error) => void;
}

/** Where a broker is reached. */
export interface AdvertisedEndpoint {
  readonly listener: string;
  readonly host: string;
  readonly port: number;
}

/**
 * A broker, in the order of its life: `open` finds its cluster and opens its logs, then the process binds its listeners,
 * and `join` registers it: a broker listens only when it is about to register. `leave` moves its leaderships away while
 * it still serves, then the listeners close, and `stop` ends it.
 */
export interface Broker {
  /** For clients and for other processes. */
  readonly services: readonly ServedService[];
  /** For brokers alone. */
  readonly replicaService: ServedService;
  /** Throws StartRefusedError, or the DirectoryError of a directory that must not be used. */
  open(): Promise<void>;
  /** Resolves when the broker is registered and has applied the metadata of its registration. */
  join(endpoints: readonly AdvertisedEndpoint[]): Promise<void>;
  /** What it does, for people: of bounded size. */
  describe(): Readonly<Record<string, unknown>>;
  /** Resolves when the controller has moved the leaderships, or when that took too long. */
  leave(): Promise<void>;
  /** Leaves the cluster, flushes and closes the logs. */
  stop(): Promise<void>;
}

export function createBroker(options: BrokerOptions): Broker {
  const { runtime, logger, controller, tracer, codecs } = options;
  const id = brokerId(options.nodeId);
  const events = createPartitionEvents({ tracer, clock: runtime.clock, logger });
  const catchingUp = createCatchingUp({
    brokerId: id,
    isOffline: (partition) => isOfflineHere(parts, partition),
    onReady: (isReady) => options.onReady?.(isReady),
  });
  const metadata = createOwnMetadata({
    brokerId: id,
    clusterId: options.clusterId,
    controller,
    runtime,
    logger,
    apply(update) {
      events.noteElections(update.elections ?? []);
      noteControllerEpoch(parts, update.controllerEpoch);
      const applied = parts.table?.apply(update);
      streams.fetcher.endpointsChanged();
      return applied?.then(() => {
        catchingUp.applied(update.image, update);
      });
    },
    onFatal: options.onFatal,
  });
  const lazy = lazyTable(() => tableOf(parts));
  const streams = createReplicaStreams({
    brokerId: id,
    partitions: lazy.exchange,
    inspection: lazy.inspection,
    endpointOf: (broker) => internalEndpoint(metadata.image, broker),
    openChannel: options.openChannel,
    runtime,
    crc32c,
    waitMs: options.replication.fetchWaitMaxMs,
    logger,
  });
  const metrics = createBrokerMetrics(options.metrics, () => parts.table?.led() ?? []);
  const producerIds = createProducerIds({
    controller,
    brokerId: id,
    brokerEpoch: () => parts.session?.brokerEpoch,
    runtime,
    onHeard: () => {
      metadata.noteHeard();
    },
  });
  const parts: BrokerParts = {
    options,
    id,
    events,
    metadata,
    producerIds,
    catchingUp,
    streams,
    metrics,
    abort: new AbortController(),
    directories: [],
    table: undefined,
    upkeep: undefined,
    session: undefined,
    ticker: undefined,
    running: Promise.resolve(),
  };
  const image = () => metadata.image;
  return {
    services: [
      createLogService({
        brokerId: id,
        table: lazy.lookup,
        producerIds,
        runtime,
        codecs,
        decompressionRatioMax: options.decompressionRatioMax,
        unansweredBudget: options.unansweredBudget,
        tracer,
        metrics,
        controllerHeardMs: () => metadata.heardMs(),
      }),
      createAdminService({
        table: lazy.lookup,
        runtime,
        image,
        storedLogStarts: createStoredLogStarts({ brokerId: id, image, openChannel: options.openChannel }),
      }),
    ],
    replicaService: streams.service,
    open: () => open(parts),
    join: (endpoints) => join(parts, endpoints),
    describe: () => ({
      brokerEpoch: parts.session?.brokerEpoch,
      controllerHeardMsAgo: Math.round(runtime.clock.monotonicMs() - metadata.heardMs()),
      ...describeDirectories(options.logDirs, parts.directories),
      ...describeLed(parts.table?.led() ?? []),
    }),
    leave: () => leave(parts),
    async stop() {
      await stop(parts);
      metrics.stop();
    },
  };
}
