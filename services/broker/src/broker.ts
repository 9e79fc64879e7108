import { crc32c } from "@tidemark/compression";
import { type ActiveController, createMetadataFeed, type MetadataFeed } from "@tidemark/controller-link";
import type { Disk } from "@tidemark/disk";
import { brokerId, type ControllerEpoch, type Revision } from "@tidemark/ids";
import { type LogDirectory, openLogDirectories } from "@tidemark/log";
import type { Codecs } from "@tidemark/record";
import type { ServedService } from "@tidemark/rpc";
import { createDeferred, type Runtime, randomUuid } from "@tidemark/runtime";
import { StartRefusedError } from "@tidemark/service";
import type { Logger, Tracer } from "@tidemark/telemetry";
import { createLogService } from "./api/log-service.ts";
import { type BrokerSession, createBrokerSession } from "./controller/session.ts";
import { createPartitionTable, type PartitionTable } from "./partition/partition-table.ts";
import type { TopicDefaults } from "./partition/topic-log-settings.ts";
import { createStartReporter } from "./upkeep/report-starts.ts";
import { startUpkeep, type Upkeep, type UpkeepOptions } from "./upkeep/upkeep.ts";

export interface BrokerOptions {
  readonly nodeId: number;
  /** Undefined: whichever cluster the controller belongs to. */
  readonly clusterId: string | undefined;
  readonly rack: string;
  readonly logDirs: readonly string[];
  readonly heartbeatIntervalMs: number;
  readonly topicDefaults: TopicDefaults;
  readonly upkeep: UpkeepOptions["settings"];
  readonly controller: ActiveController;
  readonly runtime: Runtime;
  /** A disk for each log directory, so that one that hangs leaves the others alone. */
  readonly diskFor: (directory: string) => Disk;
  readonly codecs: Codecs;
  readonly tracer: Tracer;
  readonly logger: Logger;
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
 * A broker, in the order of its start: `open` finds its cluster and opens its logs, then the process binds its
 * listeners, and `join` registers it: a broker listens only when it is about to register.
 */
export interface Broker {
  readonly service: ServedService;
  /** Throws StartRefusedError, or the DirectoryError of a directory that must not be used. */
  open(): Promise<void>;
  /** Resolves when the broker is registered and has applied the metadata of its registration. */
  join(endpoints: readonly AdvertisedEndpoint[]): Promise<void>;
  /** Leaves the cluster, flushes and closes the logs. */
  stop(): Promise<void>;
}

export function createBroker(options: BrokerOptions): Broker {
  const { runtime, logger, controller } = options;
  const id = brokerId(options.nodeId);
  const abort = new AbortController();
  const failedDirectories = new Set<string>();
  const progress = createDeferred();
  let directories: readonly LogDirectory[] = [];
  let table: PartitionTable | undefined;
  let upkeep: Upkeep | undefined;
  let session: BrokerSession | undefined;
  let appliedRevision = 0n as Revision;
  let running: Promise<unknown> = Promise.resolve();

  const serving = (): PartitionTable => {
    if (table === undefined) throw new Error("The broker serves once its logs are open");
    return table;
  };

  const feed: MetadataFeed = createMetadataFeed({
    controller,
    runtime,
    brokerId: id,
    controllerEpochFloor: 0 as ControllerEpoch,
    onUpdate: ({ image, revision }) => {
      clusterKnown.resolve(image.cluster?.clusterId);
      table?.apply(image).then(() => {
        appliedRevision = revision;
        if (session?.registeredAt !== undefined && revision >= session.registeredAt) progress.resolve();
      }, options.onFatal);
    },
    onInterrupted: (why) => logger.debug("The metadata stream ended; opening it again", { why }),
  });
  const clusterKnown = createDeferred<string | undefined>();

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

  return {
    service: createLogService({
      brokerId: id,
      table: lazyTable(serving),
      runtime,
      codecs: options.codecs,
      tracer: options.tracer,
    }),
    async open() {
      running = feed.run(abort.signal);
      const owner = { clusterId: await clusterId(), nodeId: options.nodeId };
      const opened = await openLogDirectories(
        options.logDirs.map((path) => ({
          path,
          disk: options.diskFor(path),
          runtime,
          crc32c,
          owner,
          createMissing: true,
          onStart: createStartReporter(logger, path),
          onFailure: (error) => {
            logger.error(`The log directory ${path} failed: ${error.message}`);
            const failed = directories.find((directory) => directory.path === path);
            if (failed !== undefined) failedDirectories.add(failed.id);
          },
        })),
      );
      for (const error of opened.failed) logger.error(`A log directory is out of service: ${error.message}`);
      if (opened.open.length === 0) {
        throw new StartRefusedError(
          `No log directory can be used: ${opened.failed.map((error) => error.message).join("; ")}`,
        );
      }
      directories = opened.open;
      table = createPartitionTable({
        brokerId: id,
        directories,
        defaults: options.topicDefaults,
        clock: runtime.clock,
        logger,
      });
      await table.apply(feed.image);
      const logs = () =>
        serving()
          .led()
          .map(({ topic, index, log, isLed }) => ({ name: `${topic}-${index}`, log, isLed }));
      upkeep = startUpkeep({ logs, settings: options.upkeep, runtime, logger });
    },
    async join(endpoints) {
      const known = await clusterId();
      session = createBrokerSession({
        controller,
        runtime,
        logger,
        heartbeatIntervalMs: options.heartbeatIntervalMs,
        registration: {
          brokerId: id,
          incarnationId: randomUuid(runtime.random),
          clusterId: known,
          directoryIds: directories.map((directory) => directory.id),
          endpoints,
          rack: options.rack,
          controllerEpoch: () => feed.version?.controllerEpoch ?? (0 as ControllerEpoch),
          cleanStopBrokerEpoch: directories.every((each) => each.stoppedBy !== undefined)
            ? directories[0]?.stoppedBy
            : undefined,
        },
        progress: () => ({
          appliedRevision,
          failedDirectoryIds: [...failedDirectories],
          confirmedDeletions: serving().deletions(),
        }),
      });
      const { registeredAt } = session;
      const ended = session.run(abort.signal, () => {
        const at = session?.registeredAt ?? registeredAt;
        if (at !== undefined && appliedRevision >= at) progress.resolve();
      });
      // Before the broker is ready its end refuses the start; later it is fatal.
      ended.catch((error: unknown) => {
        if (abort.signal.aborted) return;
        options.onFatal(error instanceof Error ? error : new Error(String(error)));
      });
      running = Promise.allSettled([running, ended]);
      await Promise.race([progress.promise, ended]);
    },
    async stop() {
      abort.abort();
      await Promise.all([running, upkeep?.stop()]);
      table?.leaveAll();
      const stop = session?.brokerEpoch === undefined ? undefined : { brokerEpoch: session.brokerEpoch };
      await Promise.all(directories.map((directory) => directory.close(stop)));
    },
  };
}

/** The service is mounted before the logs are open. */
function lazyTable(serving: () => PartitionTable): PartitionTable {
  return {
    apply: (image) => serving().apply(image),
    find: (request) => serving().find(request),
    partitionCount: (topic) => serving().partitionCount(topic),
    ledOf: (topic) => serving().ledOf(topic),
    led: () => serving().led(),
    deletions: () => serving().deletions(),
    leaveAll: () => serving().leaveAll(),
  };
}
