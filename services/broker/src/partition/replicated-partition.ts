import type { BrokerEpoch, ControllerEpoch, DirectoryId, LeaderEpoch } from "@tidemark/ids";
import { noLeaderEpoch } from "@tidemark/ids";
import type { Log, LogEvent } from "@tidemark/log";
import { Outcome } from "@tidemark/proto/common/v1";
import { type BatchHeader, noProducerId } from "@tidemark/record";
import {
  createPartition,
  type FetchSessions,
  type PartitionInput,
  type PartitionState,
  type ProducerLookup,
  type ProducerTable,
  type ReplicaFetch,
  type ReplicaFlushed,
  type ReplicaResponse,
  type ReplicationGuards,
  type ReplicationSettings,
  type SeenBeyond,
  type StandingFetch,
} from "@tidemark/replication";
import { type TidemarkError, withOutcome } from "@tidemark/rpc";
import type { Cancel } from "@tidemark/runtime";
import { type FlushedFetch, noFetches, type ReplicaReply } from "../replication/replica-exchange.ts";
import { endOne, endWaiting, releaseReplies, takeWaiting } from "./answers.ts";
import { giveInput } from "./give-input.ts";
import { takeLogEvent } from "./log-events.ts";
import type {
  CheckedBatches,
  LatestOutcome,
  LatestRequest,
  Partition,
  ProduceRequest,
  ReadOutcome,
  ReadRequest,
} from "./partition.ts";
import { outOfService } from "./refusal-error.ts";
import type { PartitionPlace, PartitionShared, Received, ReplicaState, Waiting } from "./replica-state.ts";
import { offsetsIn } from "./stamp.ts";
import { firstTurn, tick } from "./tick.ts";
import type { TopicLogSettings } from "./topic-log-settings.ts";
import { noteAgreement, truncationOf } from "./truncation.ts";
import { createWatch, letGo, noteReport } from "./watched-batches.ts";
import { createWrites, isBehind, throwAwayWrites } from "./writes.ts";

export interface ReplicatedPartitionOptions {
  readonly place: PartitionPlace;
  /** Open, and online. Its events go to `onLogEvent`. */
  readonly log: Log;
  readonly directoryId: DirectoryId;
  readonly settings: TopicLogSettings;
  readonly replication: ReplicationSettings;
  readonly brokerEpoch: BrokerEpoch;
  readonly sessions: FetchSessions;
  /** The idempotent producers of the log, which shows it every batch. */
  readonly producers: ProducerTable;
  /** Counts the replicas of a broker, so that idle ones take turns. */
  readonly turn: number;
  readonly guards?: ReplicationGuards | undefined;
}

/** A replica of a partition on this broker, for whoever drives it. */
export interface ReplicatedPartition extends Partition {
  give(input: PartitionInput): void;
  /** Time passes. To be called often; what is idle is told now and then. */
  tick(time: { readonly nowMs: number; readonly controllerHeardMs: number }): void;
  /** Takes a committed state. One that is not newer changes nothing. */
  applyMetadata(state: PartitionState, controllerEpoch: ControllerEpoch): void;
  /** What it has seen, where the newest metadata are older; undefined: they are not. */
  readonly seenBeyond: SeenBeyond | undefined;
  onLogEvent(event: LogEvent): void;
  /** Settings of the topic changed. */
  configure(settings: TopicLogSettings, replication: ReplicationSettings): void;
  /** A follower asks; it gets one reply unless the result is called. */
  serve(fetch: ReplicaFetch, deadlineMs: number, reply: (reply: ReplicaReply) => void): Cancel;
  /** The same for a fetch that stands and was answered. */
  goOnServing(fetch: StandingFetch, deadlineMs: number, reply: (reply: ReplicaReply) => void): Cancel;
  /** `fetchedIn`: the follower's recorded fetches that brought it. */
  takeFlushed(report: ReplicaFlushed, fetchedIn: readonly FlushedFetch[]): void;
  takeResponse(response: ReplicaResponse, received: Received): void;
  /** What it cut to agree with the leader of the newest metadata. Undefined: it does not agree yet. */
  truncation(): ReturnType<typeof truncationOf>;
  /** This broker has it no longer: whoever waits is told `error`. */
  leave(error: TidemarkError): void;
}

/**
 * Drives the machine of one replica over its log: RF 1 is the same with nobody else.
 *
 * The broker epoch is that of the registration in force; metadata from before it must not be given.
 */
export function createReplicatedPartition(
  shared: PartitionShared,
  options: ReplicatedPartitionOptions,
): ReplicatedPartition {
  const replica = createState(shared, options);
  const { place, log, machine } = replica;
  const rest: Omit<ReplicatedPartition, keyof Standing> = {
    topic: place.topic,
    topicId: place.topicId,
    index: place.index,
    log,
    directoryId: options.directoryId,
    view: () => machine.view(shared.clock.monotonicMs()),
    produce: (request) => produce(replica, request),
    read: (request, settle) => read(replica, request, settle),
    latest: (request, settle) => latest(replica, request, settle),
    give: (input) => {
      giveInput(replica, input);
    },
    tick: (time) => {
      tick(replica, time);
    },
    applyMetadata(state, controllerEpoch) {
      const nowMs = shared.clock.monotonicMs();
      if (replica.metadata === undefined || state.partitionEpoch > replica.metadata.partitionEpoch)
        replica.metadata = state;
      giveInput(replica, { kind: "metadata", state, controllerEpoch, nowMs });
    },
    onLogEvent: (event) => {
      takeLogEvent(replica, event);
    },
    configure(settings, replication) {
      replica.settings = settings;
      log.configure(settings.log);
      giveInput(replica, { kind: "settingsChanged", settings: replication });
    },
    serve(fetch, deadlineMs, reply) {
      noteReport(replica, fetch, noFetches);
      return ask(replica, { kind: "replica", leaderEpoch: fetch.leaderEpoch, reply }, (requestId) => ({
        kind: "replicaFetch",
        requestId,
        fetch,
        deadlineMs,
        nowMs: shared.clock.monotonicMs(),
      }));
    },
    goOnServing: (fetch, deadlineMs, reply) =>
      ask(replica, { kind: "replica", leaderEpoch: fetch.leaderEpoch, reply }, (requestId) => ({
        kind: "standingFetch",
        requestId,
        fetch,
        deadlineMs,
        nowMs: shared.clock.monotonicMs(),
      })),
    takeFlushed(report, fetchedIn) {
      noteReport(replica, report, fetchedIn);
      giveInput(replica, { kind: "replicaFlushed", report, nowMs: shared.clock.monotonicMs() });
    },
    takeResponse(response, received) {
      const nowMs = shared.clock.monotonicMs();
      noteAgreement(replica, response);
      giveInput(replica, { kind: "replicaResponse", response, nowMs }, received);
    },
    truncation: () => truncationOf(replica),
    leave: (error) => {
      leave(replica, error);
    },
  };
  return Object.assign(new Standing(replica), rest);
}

/**
 * How a replica stands, always as it is now. A class, since an object of a literal with getters has a shape of its own:
 * whatever looks at one of thousands of partitions would look at each for the first time.
 */
class Standing {
  readonly #replica: ReplicaState;

  constructor(replica: ReplicaState) {
    this.#replica = replica;
  }

  get settings() {
    return this.#replica.settings;
  }
  get highWatermark() {
    return this.#replica.machine.highWatermark;
  }
  get leaderEpoch(): LeaderEpoch {
    return this.#replica.metadata?.leaderEpoch ?? noLeaderEpoch;
  }
  get seenBeyond() {
    return this.#replica.machine.seenBeyond;
  }
  get isLed() {
    return this.#replica.machine.role === "leader";
  }
}

function createState(shared: PartitionShared, options: ReplicatedPartitionOptions): ReplicaState {
  const { place, log, settings, brokerEpoch, sessions, replication, guards, producers } = options;
  const replica: ReplicaState = {
    shared,
    place,
    id: { topicId: place.topicId, partition: place.index },
    log,
    machine: createPartition({
      self: shared.self,
      brokerEpoch,
      log: {
        startOffset: log.logStartOffset,
        endOffset: log.logEndOffset,
        flushedOffset: log.flushedOffset,
        leaderEpochs: log.epochs,
      },
      highWatermark: log.highWatermark,
      settings: replication,
      sessions,
      producers: createProducerLookup(() => replica),
      ...(guards === undefined ? {} : { guards }),
    }),
    writes: createWrites(),
    waiting: new Map(),
    inbox: [],
    settings,
    metadata: undefined,
    clients: 0,
    isProposing: false,
    tickedMs: firstTurn(shared.clock.monotonicMs(), options.turn),
    isStepping: false,
    isOver: false,
    leftFor: undefined,
    refusedBy: undefined,
    agreement: undefined,
    watched: [],
    fetched: [],
    fetchedIn: noFetches,
    heardMs: undefined,
    held: [],
    unwritten: [],
    producers,
  };
  return replica;
}

/** Of a log that is behind what its machine has ordered nobody can say what it holds (R11). */
function createProducerLookup(replica: () => ReplicaState): ProducerLookup {
  return {
    get isCurrent() {
      return !isBehind(replica());
    },
    check: (batch) => replica().producers.check(batch),
    forget: () => {
      replica().producers.forget();
    },
  };
}

function produce(replica: ReplicaState, request: ProduceRequest) {
  const { batches, acks, deadlineMs, timeline } = request;
  const nowMs = replica.shared.clock.monotonicMs();
  const watch = timeline === undefined ? undefined : createWatch(replica, timeline);
  const settle = watch === undefined ? request.settle : before(watch.settled, request.settle);
  const waiting: Waiting & { readonly kind: "produce" } = { kind: "produce", batches, settle, baseOffset: undefined };
  const recordCount = offsetsIn(batches);
  const abandon = ask(replica, waiting, (requestId) => ({
    kind: "produce",
    requestId,
    acks,
    recordCount,
    ...producerOf(batches),
    seenLeaderEpoch: undefined,
    deadlineMs,
    nowMs,
  }));
  if (waiting.baseOffset !== undefined) watch?.begin({ baseOffset: waiting.baseOffset, recordCount });
  // The very object that learns its place in the log: what a getter for each produce costs is more than the rest.
  return Object.assign(waiting, { abandon: watch === undefined ? abandon : before(watch.settled, abandon) });
}

function before<Given extends readonly unknown[]>(first: () => void, then: (...given: Given) => void) {
  return (...given: Given): void => {
    first();
    then(...given);
  };
}

/** A batch of an idempotent producer is the only one of its request. */
function producerOf({ headers }: CheckedBatches): { readonly producer?: BatchHeader } {
  const [header] = headers;
  return header === undefined || header.producerId === noProducerId ? {} : { producer: header };
}

function read(replica: ReplicaState, request: ReadRequest, settle: (outcome: ReadOutcome) => void): Cancel {
  const nowMs = replica.shared.clock.monotonicMs();
  return ask(replica, { kind: "read", offset: request.offset, settle }, (requestId) => ({
    kind: "consumerFetch",
    requestId,
    ...request,
    linearizable: false,
    nowMs,
  }));
}

function latest(replica: ReplicaState, request: LatestRequest, settle: (outcome: LatestOutcome) => void): Cancel {
  const nowMs = replica.shared.clock.monotonicMs();
  return ask(replica, { kind: "latest", settle }, (requestId) => ({
    kind: "latestOffset",
    requestId,
    ...request,
    nowMs,
  }));
}

/** Gives a request to the machine under a number of its own. The result withdraws it. */
function ask(
  replica: ReplicaState,
  waiting: Waiting,
  inputOf: (requestId: ReturnType<PartitionShared["requests"]["next"]>) => PartitionInput,
): Cancel {
  if (replica.isOver) {
    endOne(waiting, withOutcome(replica.leftFor ?? outOfService(replica.place), Outcome.NOT_APPLIED));
    return () => undefined;
  }
  const requestId = replica.shared.requests.next();
  replica.waiting.set(requestId, waiting);
  if (waiting.kind !== "replica") replica.clients++;
  giveInput(replica, inputOf(requestId));
  return () => {
    if (takeWaiting(replica, requestId) !== undefined) giveInput(replica, { kind: "cancel", requestId });
  };
}

function leave(replica: ReplicaState, error: TidemarkError): void {
  if (replica.isOver) return;
  replica.isOver = true;
  replica.leftFor = error;
  endWaiting(replica, error);
  releaseReplies(replica, true);
  throwAwayWrites(replica);
  letGo(replica, replica.shared.clock.monotonicMs());
  replica.shared.onLeft(replica.place);
}
