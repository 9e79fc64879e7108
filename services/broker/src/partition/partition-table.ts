import type { BrokerId, PartitionIndex, TopicId } from "@tidemark/ids";
import { type Log, type LogDirectory, type LogEvent, type ReplicaId, replicaName } from "@tidemark/log";
import {
  eachPartition,
  entriesOf,
  findPartition,
  findTopic,
  findTopicById,
  lookup,
  type MetadataImage,
  type Partition as PartitionState,
} from "@tidemark/metadata";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "@tidemark/rpc";
import type { Clock } from "@tidemark/runtime";
import type { Logger } from "@tidemark/telemetry";
import { invalidArgument, unknownPartition, unknownTopic } from "../errors.ts";
import type { Partition } from "./partition.ts";
import { createSoleReplica, type SoleReplica } from "./sole-replica.ts";
import { type TopicDefaults, topicLogSettings } from "./topic-log-settings.ts";

/** The partitions that this broker leads, kept as the metadata say. */
export interface PartitionTable {
  /**
   * Makes the broker's partitions what the metadata say, one step after the other. Resolves when the step is done;
   * never rejects: a partition that cannot be opened is reported and answers with its error.
   */
  apply(image: MetadataImage): Promise<void>;
  /** The partition that a request means. Throws a TidemarkError: unknown, not led here, not open. */
  find(request: PartitionRequest): Partition;
  /** How many partitions a topic has. Throws REASON_UNKNOWN_TOPIC. */
  partitionCount(topic: string): number;
  /** Indexes of the partitions of a topic that this broker leads. */
  ledOf(topic: string): readonly number[];
  led(): readonly Partition[];
  /** Topic ids whose deletion was carried out and not confirmed by the controller yet. */
  deletions(): readonly TopicId[];
  /** Ends what is pending. */
  leaveAll(): void;
}

export interface PartitionRequest {
  readonly topic: string;
  /** Empty: whichever has the name. */
  readonly topicId: string;
  readonly partition: number;
}

export interface PartitionTableOptions {
  readonly brokerId: BrokerId;
  /** Those that are in service, at least one. */
  readonly directories: readonly LogDirectory[];
  readonly defaults: TopicDefaults;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onLogEvent?: (partition: Partition, event: LogEvent) => void;
}

/** What there is of a partition on this broker. */
type Held =
  | { readonly kind: "open"; readonly replica: SoleReplica }
  | { readonly kind: "failed"; readonly error: TidemarkError };

export function createPartitionTable(options: PartitionTableOptions): PartitionTable {
  const { brokerId, directories, clock, logger } = options;
  const held = new Map<string, Held>();
  const confirmed = new Set<TopicId>();
  const reported = new Set<string>();
  let image: MetadataImage | undefined;
  let last: Promise<void> = Promise.resolve();

  const home = (replica: ReplicaId): LogDirectory | undefined => {
    const name = replicaName(replica);
    return directories.find((directory) => directory.replicas().some((each) => replicaName(each) === name));
  };

  /** New replicas go where the fewest are. */
  const roomiest = (): LogDirectory | undefined =>
    directories
      .filter((directory) => directory.failure === undefined)
      .reduce<LogDirectory | undefined>(
        (best, each) => (best === undefined || each.replicas().length < best.replicas().length ? each : best),
        undefined,
      );

  const openLogOf = async (replica: ReplicaId, state: TopicState): Promise<{ log: Log; listen: Listen }> => {
    let directory = home(replica);
    if (directory === undefined) {
      directory = roomiest();
      if (directory === undefined) throw new Error("No log directory is in service");
      await directory.create(replica);
    }
    // Events can only come once the log is in use, which is after its replica listens.
    let listener: (event: LogEvent) => void = () => undefined;
    const log = await directory.open(replica, { settings: state.settings.log, onEvent: (event) => listener(event) });
    return {
      log,
      listen: (to) => {
        listener = to;
      },
    };
  };

  const lead = async (state: TopicState, partition: PartitionState): Promise<void> => {
    const replica = { topicId: partition.topicId, partition: partition.partition };
    const name = replicaName(replica);
    const before = held.get(name);
    if (before?.kind === "open" && before.replica.leaderEpoch === partition.leaderEpoch) {
      before.replica.configure(state.settings);
      return;
    }
    const led = {
      topic: state.name,
      topicId: partition.topicId,
      index: partition.partition,
      leaderEpoch: partition.leaderEpoch,
      settings: state.settings,
    };
    try {
      let log: Log;
      let listen: Listen;
      if (before?.kind === "open") {
        before.replica.leave(notLeader(state.name, partition, Outcome.UNKNOWN));
        log = before.replica.log;
        listen = listens.get(name) ?? (() => undefined);
      } else {
        ({ log, listen } = await openLogOf(replica, state));
      }
      listens.set(name, listen);
      if (log.status.kind !== "online")
        throw new Error(log.status.kind === "offline" ? log.status.damage.detail : "closed");
      const opened = createSoleReplica(led, log, clock);
      listen((event) => {
        opened.onLogEvent(event);
        options.onLogEvent?.(opened, event);
      });
      held.set(name, { kind: "open", replica: opened });
    } catch (error) {
      const message = `Partition ${state.name}-${partition.partition} cannot be opened: ${messageOf(error)}`;
      logger.error(message, { topic: state.name, partition: partition.partition });
      held.set(name, {
        kind: "failed",
        error: new TidemarkError({
          reason: Reason.LOG_DIRECTORY_FAILED,
          message,
          topic: state.name,
          partition: partition.partition,
        }),
      });
    }
  };
  const listens = new Map<string, Listen>();

  const leave = (name: string, error: TidemarkError) => {
    const entry = held.get(name);
    if (entry?.kind === "open") entry.replica.leave(error);
    held.delete(name);
    listens.delete(name);
  };

  const step = async (next: MetadataImage): Promise<void> => {
    image = next;
    const wanted = new Set<string>();
    for (const { topic, partition } of eachPartition(next)) {
      if (partition.leader !== brokerId) continue;
      wanted.add(replicaName({ topicId: topic.topicId, partition: partition.partition }));
      await lead({ name: topic.name, settings: topicLogSettings(topic.settings, options.defaults) }, partition);
    }
    for (const [name, entry] of held) {
      if (wanted.has(name)) continue;
      const place = entry.kind === "open" ? { topic: entry.replica.topic, index: entry.replica.index } : undefined;
      leave(name, leftError(place));
    }
    await removeDeleted(next);
    reportStray(next);
  };

  /** Data goes only where the deletion is said (D7). */
  const removeDeleted = async (next: MetadataImage): Promise<void> => {
    for (const directory of directories) {
      for (const replica of directory.replicas()) {
        if (lookup(next.deletedTopics, replica.topicId) === undefined) continue;
        await directory.remove(replica).catch((error: unknown) => {
          logger.error(`Deleted replica ${replicaName(replica)} cannot be removed: ${messageOf(error)}`);
        });
      }
    }
    for (const id of [...confirmed]) if (lookup(next.deletedTopics, id) === undefined) confirmed.delete(id);
    const kept = new Set(directories.flatMap((each) => each.replicas().map((replica) => replica.topicId)));
    for (const [id, deleted] of entriesOf(next.deletedTopics)) {
      if (!kept.has(id) && deleted.awaited.includes(brokerId)) confirmed.add(id);
    }
  };

  /** Data of an id that the metadata do not know is kept, and said once: absence is not deletion (D7). */
  const reportStray = (next: MetadataImage) => {
    for (const directory of directories) {
      for (const replica of directory.replicas()) {
        const name = replicaName(replica);
        if (findTopicById(next, replica.topicId) !== undefined || reported.has(name)) continue;
        reported.add(name);
        logger.warn(`${directory.path} holds ${name}, which the metadata do not know: it is kept and not served`);
      }
    }
  };

  const notLeader = (topic: string, state: PartitionState, outcome: Outcome): TidemarkError => {
    const session = state.leader === undefined ? undefined : image?.sessions.get(state.leader);
    const endpoint = session?.endpoints.find((each) => each.listener === "client");
    const partition = state.partition;
    if (state.leader === undefined) {
      return new TidemarkError({
        reason: Reason.LEADER_NOT_AVAILABLE,
        message: `Partition ${topic}-${partition} has no leader now; it gets one when an eligible replica is back`,
        outcome,
        topic,
        partition,
      });
    }
    return new TidemarkError({
      reason: Reason.NOT_LEADER,
      message: `Broker ${brokerId} does not lead ${topic}-${partition}; broker ${state.leader} does`,
      outcome,
      topic,
      partition,
      ...(endpoint === undefined
        ? {}
        : {
            leader: {
              broker: state.leader,
              endpoint: `${endpoint.host}:${endpoint.port}`,
              leaderEpoch: state.leaderEpoch,
            },
          }),
    });
  };

  const leftError = (place: { topic: string; index: PartitionIndex } | undefined): TidemarkError => {
    const topic = place === undefined || image === undefined ? undefined : findTopic(image, place.topic);
    const state =
      image === undefined || topic === undefined || place === undefined
        ? undefined
        : findPartition(image, topic.topicId, place.index);
    if (place !== undefined && state !== undefined) return notLeader(place.topic, state, Outcome.UNKNOWN);
    return new TidemarkError({
      reason: Reason.UNKNOWN_TOPIC,
      message: `The topic ${place?.topic ?? ""} was deleted`,
      outcome: Outcome.UNKNOWN,
    });
  };

  const find = (request: PartitionRequest): Partition => {
    if (request.topic === "") throw invalidArgument("topic is empty; name the topic");
    const topic = image === undefined ? undefined : findTopic(image, request.topic);
    if (image === undefined || topic === undefined) throw unknownTopic(request.topic);
    if (request.topicId !== "" && request.topicId !== topic.topicId) {
      throw new TidemarkError({
        reason: Reason.UNKNOWN_TOPIC_ID,
        message: `The topic ${request.topic} has the id ${topic.topicId}, not ${request.topicId}: it was made again`,
        topic: request.topic,
      });
    }
    const state = findPartition(image, topic.topicId, request.partition as PartitionIndex);
    if (state === undefined) throw unknownPartition(request, topic.partitions);
    if (state.leader !== brokerId) throw notLeader(request.topic, state, Outcome.NOT_APPLIED);
    const entry = held.get(replicaName({ topicId: topic.topicId, partition: state.partition }));
    // The metadata name this broker, which has not opened the log yet.
    if (entry === undefined) {
      throw new TidemarkError({
        reason: Reason.LEADER_NOT_AVAILABLE,
        message: `Broker ${brokerId} is about to lead ${request.topic}-${request.partition}; retry in a moment`,
        topic: request.topic,
        partition: request.partition,
      });
    }
    if (entry.kind === "failed") throw entry.error;
    return entry.replica;
  };

  const led = (): SoleReplica[] =>
    [...held.values()].flatMap((entry) => (entry.kind === "open" ? [entry.replica] : []));

  return {
    apply(next) {
      last = last
        .then(() => step(next))
        .catch((error: unknown) => {
          logger.error(`The metadata could not be applied in full: ${messageOf(error)}`);
        });
      return last;
    },
    find,
    led,
    partitionCount(topic) {
      const known = image === undefined ? undefined : findTopic(image, topic);
      if (known === undefined) throw unknownTopic(topic);
      return known.partitions;
    },
    ledOf: (topic) =>
      led()
        .filter((each) => each.topic === topic)
        .map((each) => each.index)
        .sort((a, b) => a - b),
    deletions: () => [...confirmed],
    leaveAll() {
      const error = new TidemarkError({
        reason: Reason.SHUTTING_DOWN,
        message: "The broker is stopping",
        outcome: Outcome.UNKNOWN,
      });
      for (const name of [...held.keys()]) leave(name, error);
    },
  };
}

interface TopicState {
  readonly name: string;
  readonly settings: ReturnType<typeof topicLogSettings>;
}

type Listen = (to: (event: LogEvent) => void) => void;

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
