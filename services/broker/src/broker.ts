import { crc32c } from "@tidemark/compression";
import { type ActiveController, createMetadataFeed, type MetadataFeed } from "@tidemark/controller-link";
import type { Disk } from "@tidemark/disk";
import { type BrokerId, brokerId, type ControllerEpoch, type Revision } from "@tidemark/ids";
import type { LogDirectory } from "@tidemark/log";
import type { MetadataImage } from "@tidemark/metadata";
import type { Codecs } from "@tidemark/record";
import type { ReplicationSettings } from "@tidemark/replication";
import type { RpcChannel, ServedService, TrafficClass } from "@tidemark/rpc";
import { type Cancel, createDeferred, delay, type Runtime, randomUuid } from "@tidemark/runtime";
import { StartRefusedError } from "@tidemark/service";
import type { Logger, Tracer } from "@tidemark/telemetry";
import { createLogService } from "./api/log-service.ts";
import { createConfirmLeader } from "./controller/confirm-leader.ts";
import { createIsrChanges } from "./controller/isr-changes.ts";
import { createPartitionLinks } from "./controller/partition-links.ts";
import { type BrokerSession, createBrokerSession } from "./controller/session.ts";
import type { BrokerExperiment } from "./experiment.ts";
import { openDirectories } from "./open-directories.ts";
import type { TopicDefaults } from "./partition/topic-log-settings.ts";
import { createReplicaStreams } from "./replication/replica-streams.ts";
import { createPartitionTable, type PartitionTable } from "./table/partition-table.ts";
import type { TableUpdate } from "./table/table-state.ts";
import { startTicker } from "./ticker.ts";
import { createPartitionEvents } from "./tracing/partition-events.ts";
import { startUpkeep, type Upkeep, type UpkeepOptions } from "./upkeep/upkeep.ts";

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
  readonly controller: ActiveController;
  /** Opens a connection of its own to another broker; whoever opens it closes it. */
  readonly openChannel: (endpoint: string, trafficClass: TrafficClass) => RpcChannel;
  readonly runtime: Runtime;
  /** A disk for each log directory, so that one that hangs leaves the others alone. */
  readonly diskFor: (directory: string) => Disk;
  readonly codecs: Codecs;
  readonly tracer: Tracer;
  readonly logger: Logger;
  readonly experiment?: BrokerExperiment;
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
  readonly service: ServedService;
  /** For brokers alone. */
  readonly replicaService: ServedService;
  /** Throws StartRefusedError, or the DirectoryError of a directory that must not be used. */
  open(): Promise<void>;
  /** Resolves when the broker is registered and has applied the metadata of its registration. */
  join(endpoints: readonly AdvertisedEndpoint[]): Promise<void>;
  /** Resolves when the controller has moved the leaderships, or when that took too long. */
  leave(): Promise<void>;
  /** Leaves the cluster, flushes and closes the logs. */
  stop(): Promise<void>;
}

export function createBroker(options: BrokerOptions): Broker {
  const { runtime, logger, controller } = options;
  const { clock, scheduler } = runtime;
  const id = brokerId(options.nodeId);
  const abort = new AbortController();
  const progress = createDeferred();
  const clusterKnown = createDeferred<string | undefined>();
  let directories: readonly LogDirectory[] = [];
  let table: PartitionTable | undefined;
  let upkeep: Upkeep | undefined;
  let session: BrokerSession | undefined;
  let registeredAt: Revision | undefined;
  let appliedRevision = 0n as Revision;
  let heardMs = clock.monotonicMs();
  let stopTicker: Cancel = () => undefined;
  let running: Promise<unknown> = Promise.resolve();

  const onHeard = () => {
    heardMs = clock.monotonicMs();
  };
  const controllerHeardMs = () => Math.max(heardMs, feed.lastContactMs ?? heardMs);
  const serving = (): PartitionTable => {
    if (table === undefined) throw new Error("The broker serves once its logs are open");
    return table;
  };
  const noteProgress = () => {
    if (registeredAt !== undefined && appliedRevision >= registeredAt) progress.resolve();
  };

  const events = createPartitionEvents({ tracer: options.tracer, clock, logger });
  const feed: MetadataFeed = createMetadataFeed({
    controller,
    runtime,
    brokerId: id,
    controllerEpochFloor: 0 as ControllerEpoch,
    onUpdate: (update) => {
      clusterKnown.resolve(update.image.cluster?.clusterId);
      events.noteElections(update.elections);
      const applied = table?.apply(update);
      streams.fetcher.endpointsChanged();
      applied?.then(() => {
        if (update.revision > appliedRevision) appliedRevision = update.revision;
        noteProgress();
      }, options.onFatal);
    },
    onInterrupted: (why) => logger.debug("The metadata stream ended; opening it again", { why }),
  });

  const clusterId = async (): Promise<string> => {
    const found = await clusterKnown.promise;
    if (found === undefined) throw new StartRefusedError("The controller does not know its cluster yet");
    if (options.clusterId !== undefined && options.clusterId !== found) {
      throw new StartRefusedError(
        `cluster.id is ${options.clusterId}, and the controller at ${controller.endpoint} is of cluster ${found}`,
      );
    }
    return found;
  };

  const known = (): TableUpdate => ({
    image: feed.image,
    revision: feed.version?.revision ?? (0n as Revision),
    controllerEpoch: feed.version?.controllerEpoch ?? (0 as ControllerEpoch),
  });

  const streams = createReplicaStreams({
    brokerId: id,
    partitions: {
      fetch: (...fetch) => serving().serving.fetch(...fetch),
      flushed: (...report) => serving().serving.flushed(...report),
      response: (...response) => serving().receiving.response(...response),
    },
    inspection: {
      brokerEpoch: () => session?.brokerEpoch,
      replicas: () => serving().inspection.replicas(),
      log: (replica) => serving().inspection.log(replica),
      ledIn: (replica) => serving().inspection.ledIn(replica),
    },
    endpointOf: (broker) => endpointIn(feed.image, broker),
    openChannel: options.openChannel,
    runtime,
    crc32c,
    waitMs: options.replication.fetchWaitMaxMs,
    logger,
  });

  const createTable = (): PartitionTable =>
    createPartitionTable({
      brokerId: id,
      directories,
      defaults: options.topicDefaults,
      replication: options.replication,
      links: createPartitionLinks({
        fetcher: streams.fetcher,
        isrChanges: createIsrChanges({
          controller,
          scheduler,
          brokerId: id,
          brokerEpoch: () => session?.brokerEpoch,
          onHeard,
        }),
        confirmLeader: createConfirmLeader({ controller, brokerId: id, onHeard }),
        clock,
      }),
      clock,
      logger,
      onTrace: (place, event) => {
        events.take(place, event);
      },
      onNewEpochNeeded: () => session?.renew("A damaged replica is to be copied anew"),
    });

  return {
    replicaService: streams.service,
    service: createLogService({
      brokerId: id,
      table: lazyTable(serving),
      runtime,
      codecs: options.codecs,
      tracer: options.tracer,
      controllerHeardMs,
    }),
    async open() {
      running = feed.run(abort.signal);
      const owner = { clusterId: await clusterId(), nodeId: options.nodeId };
      directories = await openDirectories({
        ...options,
        guards: options.experiment?.logGuards,
        paths: options.logDirs,
        owner,
      });
      const opening = createTable();
      await opening.openListed(known());
      table = opening;
      const logs = () =>
        opening.open().map(({ topic, index, log, isLed }) => ({ name: `${topic}-${index}`, log, isLed }));
      upkeep = startUpkeep({ logs, settings: options.upkeep, runtime, logger });
    },
    async join(endpoints) {
      session = createBrokerSession({
        controller,
        runtime,
        logger,
        heartbeatIntervalMs: options.heartbeatIntervalMs,
        identity: {
          brokerId: id,
          incarnationId: randomUuid(runtime.random),
          clusterId: await clusterId(),
          endpoints,
          rack: options.rack,
          bootId: options.bootId,
          flushAsync: options.topicDefaults["log.flush"] === "async",
          cleanStopBrokerEpoch: cleanStopOf(directories),
        },
        condition: () => ({
          appliedRevision,
          controllerEpoch: known().controllerEpoch,
          ...directoryIds(directories),
          confirmedDeletions: serving().deletions(),
          damagedReplicas: serving().damaged(),
          truncations: serving().truncations(),
          offlineReplicas: serving().offline(),
        }),
        onRegistered(registration) {
          registeredAt = registration.revision;
          serving().registered(registration);
          serving()
            .apply(known())
            .then(() => {
              const { revision } = known();
              if (revision > appliedRevision) appliedRevision = revision;
              noteProgress();
            }, options.onFatal);
        },
        onLost: (why) => {
          serving().resignAll(why);
        },
        onHeard,
      });
      const ended = session.run(abort.signal);
      // Before the broker is ready its end refuses the start; later it is fatal.
      ended.catch((error: unknown) => {
        if (abort.signal.aborted) return;
        options.onFatal(error instanceof Error ? error : new Error(String(error)));
      });
      running = Promise.allSettled([running, ended]);
      stopTicker = startTicker(scheduler, () => {
        serving().tick(controllerHeardMs());
      });
      await Promise.race([progress.promise, ended]);
    },
    async leave() {
      if (session?.brokerEpoch === undefined) return;
      const isOver = new AbortController();
      const patience = delay(scheduler, options.controlledShutdownMaxMs, isOver.signal).then(
        () => logger.warn("The leaderships were not moved in time; stopping all the same"),
        () => undefined,
      );
      await Promise.race([session.leave(), patience]);
      isOver.abort();
    },
    async stop() {
      stopTicker();
      abort.abort();
      streams.fetcher.stop();
      await Promise.all([running, upkeep?.stop()]);
      await table?.close();
      const stop = session?.brokerEpoch === undefined ? undefined : { brokerEpoch: session.brokerEpoch };
      await Promise.all(directories.map((directory) => directory.close(stop)));
    },
  };
}

function cleanStopOf(directories: readonly LogDirectory[]) {
  return directories.every((each) => each.stoppedBy !== undefined) ? directories[0]?.stoppedBy : undefined;
}

function directoryIds(directories: readonly LogDirectory[]) {
  const working = directories.filter(({ failure }) => failure === undefined);
  const failed = directories.filter(({ failure }) => failure !== undefined);
  return { directoryIds: working.map(({ id }) => id), failedDirectoryIds: failed.map(({ id }) => id) };
}

/** Where brokers reach a broker, by its session. */
function endpointIn(image: MetadataImage, broker: BrokerId): string | undefined {
  const endpoint = image.sessions.get(broker)?.endpoints.find((each) => each.listener === "internal");
  return endpoint === undefined ? undefined : `${endpoint.host}:${endpoint.port}`;
}

/** The service is mounted before the logs are open. */
function lazyTable(serving: () => PartitionTable): Parameters<typeof createLogService>[0]["table"] {
  return {
    find: (request) => serving().find(request),
    findHeld: (request) => serving().findHeld(request),
    partitionCount: (topic) => serving().partitionCount(topic),
    ledOf: (topic) => serving().ledOf(topic),
    heldOf: (topic) => serving().heldOf(topic),
  };
}
