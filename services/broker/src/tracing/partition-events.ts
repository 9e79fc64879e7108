/**
 * The typed events of partitions as spans and log lines. What has to be seen always (a change of the ISR, a new leader)
 * is recorded without a draw; what belongs to one sampled batch is told with that batch.
 *
 * | span                    | from                                | to                                             |
 * |-------------------------|-------------------------------------|------------------------------------------------|
 * | isr shrink, isr expand  | the leader proposes the change      | its state is committed, or it is refused       |
 * | become leader           | the broker learns that it leads     | its first append, or the end of the leadership |
 * | truncate                | the log is to be cut                | the same moment                                |
 */
import type { BrokerId, LeaderEpoch, Offset } from "@tidemark/ids";
import type { ElectionContext } from "@tidemark/proto/cluster/v1";
import { formatTrace, type TraceEvent } from "@tidemark/replication";
import type { Clock } from "@tidemark/runtime";
import {
  attributeNames,
  extractTraceContext,
  type Logger,
  messagingSystem,
  type Span,
  spanNames,
  type TraceContext,
  type Tracer,
} from "@tidemark/telemetry";
import type { FollowerStandings } from "../partition/follower-standing.ts";
import type { PartitionPlace } from "../partition/replica-state.ts";

export interface PartitionEvents {
  /** Takes note of where the spans of elections hang: before the partitions learn of them. */
  noteElections(elections: readonly ElectionContext[]): void;
  /** `standing`: how a follower stands now, as its leader sees it. */
  take(place: PartitionPlace, event: TraceEvent, standing: FollowerStandings): void;
  /** The partition is served here no longer, as when its topic is deleted: no event of it comes that would end what is under way. */
  leave(place: PartitionPlace): void;
}

type IsrProposed = Extract<TraceEvent, { readonly kind: "isrProposed" }>;

interface Change {
  /** Undefined of a change of nobody, which clears what was on its way. */
  readonly span: Span | undefined;
  attempts: number;
}

interface Beginning {
  readonly startMs: number;
  readonly leaderEpoch: LeaderEpoch;
  readonly epochStart: Offset;
  /** The partition's part in its election. Undefined: nobody told of one. */
  readonly election: TraceContext | undefined;
}

interface Parts {
  readonly tracer: Tracer;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Elections that this broker leads by and whose partitions have not been heard of since: the oldest go first. */
const electionsMax = 10_000;

export function createPartitionEvents(parts: Parts): PartitionEvents {
  const { tracer, clock, logger } = parts;
  const changes = new Map<string, Change>();
  const beginnings = new Map<string, Beginning>();
  const elections = new Map<string, { readonly leaderEpoch: number; readonly context: TraceContext }>();
  let hasForgotten = false;

  /** Said once: it is about the size of what one broker leads. */
  const forgetElection = (key: string) => {
    elections.delete(key);
    if (hasForgotten) return;
    hasForgotten = true;
    logger.warn("Too many elections at once: some spans of become leader have no parent", { electionsMax });
  };

  /** Taken out: whoever leads holds it from then on, whatever other elections are told of meanwhile. */
  const takeElection = (key: string, leaderEpoch: LeaderEpoch) => {
    const election = elections.get(key);
    if (election?.leaderEpoch !== leaderEpoch) return undefined;
    elections.delete(key);
    return election.context;
  };

  const endChange = (key: string, end: ChangeEnd) => {
    const change = changes.get(key);
    if (change === undefined) return;
    changes.delete(key);
    endSpan(change, end);
  };

  const endBeginning = (key: string, place: PartitionPlace) => {
    const began = beginnings.get(key);
    if (began === undefined) return;
    beginnings.delete(key);
    tracer.record({
      name: spanNames.becomeLeader,
      parent: began.election,
      startMs: began.startMs,
      endMs: clock.monotonicMs(),
      attributes: {
        ...placeAttributes(place),
        [attributeNames.leaderEpoch]: began.leaderEpoch,
        [attributeNames.epochStartOffset]: began.epochStart,
      },
    });
  };

  /** Returns the span that the event belongs to. */
  const trace = (
    key: string,
    place: PartitionPlace,
    event: TraceEvent,
    standing: FollowerStandings,
  ): TraceContext | undefined => {
    const change = changes.get(key);
    switch (event.kind) {
      case "becameLeader": {
        const { leaderEpoch, epochStart } = event;
        endChange(key, { error: "NOT_LEADER" });
        endBeginning(key, place);
        const election = takeElection(key, leaderEpoch);
        beginnings.set(key, { startMs: clock.monotonicMs(), leaderEpoch, epochStart, election });
        return election;
      }
      case "appended":
        if (beginnings.size > 0) endBeginning(key, place);
        return undefined;
      case "becameFollower":
      case "leaderless":
      case "resigned":
      case "offline":
      case "metadataRegressed":
        endChange(key, { error: "NOT_LEADER" });
        endBeginning(key, place);
        return undefined;
      case "isrProposed": {
        if (event.again && change !== undefined) {
          change.attempts++;
          return change.span?.context;
        }
        // What may be on its way is cleared by a change of nobody: whether it was applied is not known yet.
        endChange(key, { error: "SUPERSEDED" });
        const span = startChange(tracer, place, event, standing);
        changes.set(key, { span, attempts: 1 });
        return span?.context;
      }
      case "truncated":
      case "restarted":
        return recordCut(parts, place, event);
      case "isrCommitted":
        endChange(key, event);
        return change?.span?.context;
      case "proposalSettled":
        endChange(key, { error: event.reason });
        return change?.span?.context;
      default:
        return undefined;
    }
  };

  return {
    noteElections(some) {
      if (!tracer.enabled) return;
      for (const { topicId, partition, leaderEpoch, traceparent } of some) {
        const context = extractTraceContext({ traceparent, tracestate: undefined });
        if (context === undefined) continue;
        const [oldest] = elections.keys();
        if (elections.size >= electionsMax && oldest !== undefined) forgetElection(oldest);
        elections.set(`${topicId}-${partition}`, { leaderEpoch, context });
      }
    },
    take(place, event, standing) {
      const matters = tracer.enabled && mayMatter(event.kind);
      const of = matters ? trace(keyOf(place), place, event, standing) : undefined;
      log(logger, place, event, of);
    },
    leave(place) {
      const key = keyOf(place);
      endChange(key, { error: "NOT_LEADER" });
      endBeginning(key, place);
      elections.delete(key);
    },
  };

  /** Spares the hot path: most events are appends and flushes, of which no span begins or ends. */
  function mayMatter(kind: TraceEvent["kind"]): boolean {
    return kind === "appended" ? beginnings.size > 0 : !hot.has(kind);
  }
}

const hot: ReadonlySet<TraceEvent["kind"]> = new Set(["flushed", "highWatermark", "acked", "fetched"]);

type ChangeEnd = { readonly error: string } | Extract<TraceEvent, { readonly kind: "isrCommitted" }>;

/** Whoever leaves or comes, and why. Undefined of a change of nobody. */
function startChange(
  tracer: Tracer,
  place: PartitionPlace,
  event: IsrProposed,
  standing: FollowerStandings,
): Span | undefined {
  const changed = whoseChange(event);
  const [first] = changed;
  if (first === undefined) return undefined;
  const followers = changed.flatMap((follower) => standing(follower) ?? []);
  return tracer.start({
    name: event.from.includes(first) ? spanNames.isrShrink : spanNames.isrExpand,
    parent: undefined,
    attributes: {
      ...placeAttributes(place),
      [attributeNames.follower]: changed,
      [attributeNames.lagMs]: followers.map(({ lagMs }) => Math.round(lagMs)),
      [attributeNames.lagRecords]: followers.map(({ lagRecords }) => lagRecords),
      [attributeNames.lastFetchMs]: followers.map(({ lastFetchMs }) => Math.round(lastFetchMs ?? -1)),
      [attributeNames.cause]: event.reason,
    },
  });
}

/** What came of it. */
function endSpan({ span, attempts }: Change, end: ChangeEnd): void {
  const outcome =
    "error" in end
      ? {}
      : {
          [attributeNames.isr]: end.isr,
          [attributeNames.elr]: end.elr,
          [attributeNames.partitionEpoch]: end.partitionEpoch,
        };
  span?.set({ [attributeNames.attempt]: attempts, ...outcome });
  span?.end({ error: "error" in end ? end.error : undefined });
}

/** Who leaves, or else who comes: in that order where both happen at once. */
function whoseChange({ from, to }: Pick<IsrProposed, "from" | "to">): readonly BrokerId[] {
  const gone = from.filter((member) => !to.includes(member));
  const come = to.filter((member) => !from.includes(member));
  return [...gone, ...come];
}

function recordCut(
  { tracer, clock }: Parts,
  place: PartitionPlace,
  event: Extract<TraceEvent, { readonly kind: "truncated" | "restarted" }>,
): TraceContext {
  const atMs = clock.monotonicMs();
  return tracer.record({
    name: spanNames.truncate,
    parent: undefined,
    startMs: atMs,
    endMs: atMs,
    attributes: {
      ...placeAttributes(place),
      [attributeNames.truncatedFrom]: event.from,
      [attributeNames.truncatedTo]: event.kind === "truncated" ? event.to : event.at,
      [attributeNames.belowHighWatermark]: event.kind === "truncated" && event.belowHighWatermark,
    },
  });
}

function keyOf({ topicId, index }: PartitionPlace): string {
  return `${topicId}-${index}`;
}

function placeAttributes({ topic, index }: PartitionPlace) {
  return {
    [attributeNames.system]: messagingSystem,
    [attributeNames.topic]: topic,
    [attributeNames.partition]: String(index),
  };
}

/** What people should hear of: who leads, who left, what was cut, who doubts. */
function log(
  logger: Logger,
  { topic, index }: PartitionPlace,
  event: TraceEvent,
  trace: TraceContext | undefined,
): void {
  const where = { topic, partition: index, ...(trace && { trace }) };
  switch (event.kind) {
    case "truncated":
      if (event.belowHighWatermark) logger.warn(`${topic}-${index} ${formatTrace(event)}`, where);
      else logger.info(`${topic}-${index} ${formatTrace(event)}`, where);
      return;
    case "fencedItself":
    case "offline":
    case "metadataRegressed":
    case "positionLost":
      logger.warn(`${topic}-${index} ${formatTrace(event)}`, where);
      return;
    case "isrProposed":
    case "restarted":
    case "servesAgain":
      logger.info(`${topic}-${index} ${formatTrace(event)}`, where);
      return;
    case "becameLeader":
    case "becameFollower":
    case "leaderless":
    case "resigned":
    case "diverging":
    case "proposalSettled":
    case "proposalUnsettled":
      if (logger.logs("debug")) logger.debug(`${topic}-${index} ${formatTrace(event)}`, where);
      return;
    default:
      return;
  }
}
