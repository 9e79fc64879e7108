/** A broker from its start to its end, one step after the other. */
import type { BrokerId, ControllerEpoch } from "@tidemark/ids";
import type { LogDirectory } from "@tidemark/log";
import type { Partition } from "@tidemark/metadata";
import { type Cancel, createDeferred, randomUuid } from "@tidemark/runtime";
import type { AdvertisedEndpoint, BrokerOptions } from "./broker.ts";
import type { CatchingUp } from "./catching-up.ts";
import { createConfirmLeader } from "./controller/confirm-leader.ts";
import { createIsrChanges } from "./controller/isr-changes.ts";
import { createPartitionLinks } from "./controller/partition-links.ts";
import type { ProducerIds } from "./controller/producer-ids.ts";
import { type BrokerCondition, type BrokerSession, createBrokerSession } from "./controller/session.ts";
import type { BrokerMetrics } from "./metrics/broker-metrics.ts";
import { openDirectories } from "./open-directories.ts";
import type { OwnMetadata } from "./own-metadata.ts";
import type { ReplicaStreams } from "./replication/replica-streams.ts";
import { createPartitionTable, type PartitionTable } from "./table/partition-table.ts";
import { startTicker, type Ticker } from "./ticker.ts";
import { createFetchSpans } from "./tracing/fetch-spans.ts";
import type { PartitionEvents } from "./tracing/partition-events.ts";
import { startUpkeep, type Upkeep } from "./upkeep/upkeep.ts";

/** What a broker is made of. What is undefined does not exist yet. */
export interface BrokerParts {
  readonly options: BrokerOptions;
  readonly id: BrokerId;
  readonly events: PartitionEvents;
  readonly metadata: OwnMetadata;
  readonly producerIds: ProducerIds;
  readonly catchingUp: CatchingUp;
  readonly streams: ReplicaStreams;
  readonly metrics: BrokerMetrics;
  /** Ends what goes on for as long as the broker lives. */
  readonly abort: AbortController;
  directories: readonly LogDirectory[];
  table: PartitionTable | undefined;
  upkeep: Upkeep | undefined;
  session: BrokerSession | undefined;
  ticker: Ticker | undefined;
  running: Promise<unknown>;
}

export function tableOf({ table }: BrokerParts): PartitionTable {
  if (table === undefined) throw new Error("The broker serves once its logs are open");
  return table;
}

/** Finds the cluster, and opens the logs. */
export async function open(parts: BrokerParts): Promise<void> {
  const { options, metadata, abort } = parts;
  parts.running = metadata.run(abort.signal);
  const owner = { clusterId: await metadata.clusterId(), nodeId: options.nodeId };
  const guards = options.experiment?.logGuards;
  parts.directories = await openDirectories({
    ...options,
    guards,
    paths: options.logDirs,
    owner,
    onFlush: parts.metrics.flushed,
    // Started anew it may find a disk that works again; as it is it can do nothing any more.
    onNoneLeft: options.onFatal,
  });
  noteControllerEpoch(parts, metadata.known().controllerEpoch);
  const table = createTable(parts);
  await table.openListed(metadata.known());
  parts.table = table;
  const { runtime, logger, upkeep: settings } = options;
  parts.upkeep = startUpkeep({ logs: () => table.logs(), settings, runtime, logger });
}

/** Registers, and resolves when the metadata of the registration are applied. */
export async function join(parts: BrokerParts, endpoints: readonly AdvertisedEndpoint[]): Promise<void> {
  const { options, metadata, abort } = parts;
  const session = await createSession(parts, endpoints);
  parts.session = session;
  const ended = session.run(abort.signal);
  // Before the broker is ready its end refuses the start; later it is fatal.
  ended.catch((error: unknown) => {
    if (!abort.signal.aborted) options.onFatal(error instanceof Error ? error : new Error(String(error)));
  });
  parts.running = Promise.allSettled([parts.running, ended]);
  parts.ticker = startTicker(options.runtime, () => {
    tableOf(parts).tick(metadata.heardMs());
  });
  await Promise.race([metadata.caughtUp, ended]);
}

/**
 * Waits until the controller has moved the leaderships; no longer than is allowed, and not for a controller that has
 * been silent for a session timeout.
 */
export async function leave({ options, session, metadata }: BrokerParts): Promise<void> {
  const { runtime, logger, controlledShutdownMaxMs, replication, heartbeatIntervalMs } = options;
  const { clock, scheduler } = runtime;
  if (session?.brokerEpoch === undefined) return;
  const startMs = clock.monotonicMs();
  const givenUp = createDeferred();
  let cancel: Cancel = () => undefined;
  const look = () => {
    const nowMs = clock.monotonicMs();
    const isSilent = nowMs - Math.max(startMs, metadata.heardMs()) >= replication.sessionTimeoutMs;
    if (isSilent || nowMs - startMs >= controlledShutdownMaxMs) {
      logger.warn("The leaderships were not moved in time; stopping all the same");
      givenUp.resolve();
    } else cancel = scheduler.after(heartbeatIntervalMs, look);
  };
  look();
  await Promise.race([session.leave(), givenUp.promise]);
  cancel();
}

/** Leaves the cluster, flushes and closes the logs. */
export async function stop(parts: BrokerParts): Promise<void> {
  parts.ticker?.stop();
  parts.abort.abort();
  parts.streams.fetcher.stop();
  await Promise.all([parts.running, parts.upkeep?.stop()]);
  await parts.table?.close();
  const brokerEpoch = parts.session?.brokerEpoch;
  const clean = brokerEpoch === undefined ? undefined : { brokerEpoch };
  await Promise.all(parts.directories.map((directory) => directory.close(clean)));
}

function createTable(parts: BrokerParts): PartitionTable {
  const { options, id, metadata, streams, events } = parts;
  const { controller, runtime, logger } = options;
  const { clock, scheduler } = runtime;
  const onHeard = () => {
    metadata.noteHeard();
  };
  const brokerEpoch = () => parts.session?.brokerEpoch;
  return createPartitionTable({
    brokerId: id,
    directories: parts.directories,
    doAllDirectoriesWork: () => doAllDirectoriesWork(parts),
    defaults: options.topicDefaults,
    replication: options.replication,
    producers: options.producers,
    experiment: options.experiment,
    links: createPartitionLinks({
      fetcher: streams.fetcher,
      isrChanges: createIsrChanges({ controller, scheduler, brokerId: id, brokerEpoch, onHeard }),
      confirmLeader: createConfirmLeader({ controller, brokerId: id, onHeard }),
      clock,
    }),
    clock,
    logger,
    onFetched: createFetchSpans(options.tracer),
    onTrace: (place, event, standing) => {
      events.take(place, event, standing);
    },
    onLeft: (place) => {
      events.leave(place);
    },
    onDue: (atMs) => parts.ticker?.wakeAt(atMs),
    onNewEpochNeeded: () => parts.session?.renew("A replica is to be copied anew"),
  });
}

async function createSession(parts: BrokerParts, endpoints: readonly AdvertisedEndpoint[]): Promise<BrokerSession> {
  const { options, id, metadata } = parts;
  const { controller, runtime, logger, heartbeatIntervalMs } = options;
  return createBrokerSession({
    controller,
    runtime,
    logger,
    heartbeatIntervalMs,
    identity: {
      brokerId: id,
      incarnationId: randomUuid(runtime.random),
      clusterId: await metadata.clusterId(),
      endpoints,
      rack: options.rack,
      bootId: options.bootId,
      flushAsync: options.topicDefaults["log.flush"] === "async",
      cleanStopBrokerEpoch: cleanStopOf(parts.directories),
    },
    condition: () => conditionOf(parts),
    onRegistered(registration) {
      tableOf(parts).registered(registration);
      parts.catchingUp.registered(registration);
      metadata.awaitVersion(registration);
      metadata.applyAgain();
      // It goes on until it has some, and fails only with what ends the broker anyway.
      parts.producerIds.stock(parts.abort.signal).catch(() => undefined);
    },
    onLost: (why) => {
      parts.catchingUp.lost();
      tableOf(parts).resignAll(why);
    },
    onHeard: () => {
      metadata.noteHeard();
    },
    onUncleanDefault: (isAllowed) => {
      tableOf(parts).setUncleanDefault(isAllowed);
    },
  });
}

function conditionOf(parts: BrokerParts): BrokerCondition {
  const { directories, metadata } = parts;
  const table = tableOf(parts);
  const idsOf = (some: readonly LogDirectory[]) => some.map(({ id }) => id);
  return {
    appliedRevision: metadata.appliedRevision,
    controllerEpoch: highest([metadata.known(), ...directories].map(({ controllerEpoch }) => controllerEpoch)),
    directoryIds: idsOf(directories.filter(({ failure }) => failure === undefined)),
    failedDirectoryIds: idsOf(directories.filter(({ failure }) => failure !== undefined)),
    allDirectoriesWork: doAllDirectoriesWork(parts),
    confirmedDeletions: table.deletions(),
    damagedReplicas: table.damaged(),
    truncations: table.truncations(),
    regressedReplicas: table.regressed(),
    offlineReplicas: table.offline(),
  };
}

/** Whether each of `log.dirs` was opened and has not failed: then a directory that the metadata name beside them is gone. */
function doAllDirectoriesWork({ directories, options }: BrokerParts): boolean {
  return directories.length === options.logDirs.length && directories.every(({ failure }) => failure === undefined);
}

/** Keeps it on every disk, so that it is known after a restart too. What fails a disk is told by that. */
export function noteControllerEpoch({ directories, options }: BrokerParts, epoch: ControllerEpoch): void {
  for (const directory of directories) {
    directory.noteControllerEpoch(epoch).catch((error: unknown) => {
      options.logger.warn(`${directory.path}: the controller epoch could not be noted`, { why: String(error) });
    });
  }
}

function highest(epochs: readonly ControllerEpoch[]): ControllerEpoch {
  return epochs.reduce((most, epoch) => (epoch > most ? epoch : most), 0 as ControllerEpoch);
}

/** Whether this broker's replica cannot be served: its directory failed, or it is not served though that works. */
export function isOfflineHere(parts: BrokerParts, { topicId, partition, replicas }: Partition): boolean {
  const { failedDirectoryIds, offlineReplicas } = conditionOf(parts);
  const own = replicas.find(({ brokerId }) => brokerId === parts.id);
  return (
    (own?.directoryId !== undefined && failedDirectoryIds.includes(own.directoryId)) ||
    offlineReplicas.some((replica) => replica.topicId === topicId && replica.partition === partition)
  );
}

/** The broker epoch of a stop that every directory remembers. Undefined: it was not clean, or there was none. */
function cleanStopOf(directories: readonly LogDirectory[]) {
  const [first, ...others] = directories.map(({ stoppedBy }) => stoppedBy);
  return others.every((each) => each === first) ? first : undefined;
}
