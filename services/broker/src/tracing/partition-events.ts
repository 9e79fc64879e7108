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
  spanNames,
  type TraceContext,
  type Tracer,
} from "@tidemark/telemetry";
import type { FollowerStanding, FollowerStandings } from "../partition/follower-standing.ts";
import type { PartitionPlace } from "../partition/replica-state.ts";

export interface PartitionEvents {
  /** Takes note of where the spans of elections hang: before the partitions learn of them. */
  noteElections(elections: readonly ElectionContext[]): void;
  /** `standing`: how a follower stands now, as its leader sees it. */
  take(place: PartitionPlace, event: TraceEvent, standing: FollowerStandings): void;
}

interface Change {
  readonly startMs: number;
  readonly from: readonly BrokerId[];
  readonly to: readonly BrokerId[];
  readonly reason: string;
  readonly followers: readonly FollowerStanding[];
  attempts: number;
}

interface Beginning {
  readonly startMs: number;
  readonly leaderEpoch: LeaderEpoch;
  readonly epochStart: Offset;
}

interface Parts {
  readonly tracer: Tracer;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Elections whose partitions have not been heard of since: the oldest go first. */
const electionsMax = 10_000;

export function createPartitionEvents(parts: Parts): PartitionEvents {
  const { tracer, clock, logger } = parts;
  const changes = new Map<string, Change>();
  const beginnings = new Map<string, Beginning>();
  const elections = new Map<string, { readonly leaderEpoch: number; readonly context: TraceContext }>();

  const endChange = (key: string, place: PartitionPlace, end: Parameters<typeof recordChange>[3]) => {
    const change = changes.get(key);
    if (change === undefined) return;
    changes.delete(key);
    recordChange(parts, place, change, end);
  };

  const endBeginning = (key: string, place: PartitionPlace) => {
    const began = beginnings.get(key);
    if (began === undefined) return;
    beginnings.delete(key);
    const election = elections.get(key);
    elections.delete(key);
    const parent = election?.leaderEpoch === began.leaderEpoch ? election.context : undefined;
    tracer.record({
      name: spanNames.becomeLeader,
      parent,
      startMs: began.startMs,
      endMs: clock.monotonicMs(),
      attributes: {
        ...placeAttributes(place),
        [attributeNames.leaderEpoch]: began.leaderEpoch,
        [attributeNames.epochStartOffset]: began.epochStart,
      },
    });
  };

  const trace = (key: string, place: PartitionPlace, event: TraceEvent, standing: FollowerStandings) => {
    switch (event.kind) {
      case "becameLeader": {
        const { leaderEpoch, epochStart } = event;
        endChange(key, place, { error: "NOT_LEADER" });
        endBeginning(key, place);
        beginnings.set(key, { startMs: clock.monotonicMs(), leaderEpoch, epochStart });
        return;
      }
      case "appended":
        if (beginnings.size > 0) endBeginning(key, place);
        return;
      case "becameFollower":
      case "leaderless":
      case "resigned":
      case "offline":
      case "metadataRegressed":
        endChange(key, place, { error: "NOT_LEADER" });
        endBeginning(key, place);
        return;
      case "isrProposed": {
        const { from, to, reason } = event;
        const open = changes.get(key);
        if (event.again && open !== undefined) open.attempts++;
        else {
          const followers = whoseChange(event).flatMap((follower) => standing(follower) ?? []);
          changes.set(key, { startMs: clock.monotonicMs(), from, to, reason, followers, attempts: 1 });
        }
        return;
      }
      case "truncated":
      case "restarted":
        recordCut(parts, place, event);
        return;
      case "isrCommitted":
        endChange(key, place, event);
        return;
      case "proposalSettled":
        endChange(key, place, { error: event.reason });
        return;
      default:
        return;
    }
  };

  return {
    noteElections(some) {
      if (!tracer.enabled) return;
      for (const { topicId, partition, leaderEpoch, traceparent } of some) {
        const context = extractTraceContext({ traceparent, tracestate: undefined });
        if (context === undefined) continue;
        const [oldest] = elections.keys();
        if (elections.size >= electionsMax && oldest !== undefined) elections.delete(oldest);
        elections.set(`${topicId}-${partition}`, { leaderEpoch, context });
      }
    },
    take(place, event, standing) {
      if (tracer.enabled && mayMatter(event.kind)) trace(`${place.topicId}-${place.index}`, place, event, standing);
      log(logger, place, event);
    },
  };

  /** Spares the hot path: most events are appends and flushes, of which no span begins or ends. */
  function mayMatter(kind: TraceEvent["kind"]): boolean {
    return kind === "appended" ? beginnings.size > 0 : !hot.has(kind);
  }
}

const hot: ReadonlySet<TraceEvent["kind"]> = new Set(["flushed", "highWatermark", "acked", "fetched"]);

/** Whoever left or came, when, why, and what came of it. A change of nobody clears what was on its way, and has no span. */
function recordChange(
  { tracer, clock }: Parts,
  place: PartitionPlace,
  change: Change,
  end: { readonly error: string } | Extract<TraceEvent, { readonly kind: "isrCommitted" }>,
): void {
  const { startMs, reason, followers, attempts } = change;
  const changed = whoseChange(change);
  if (changed.length === 0) return;
  const isShrink = change.from.includes(changed[0] as BrokerId);
  tracer.record({
    name: isShrink ? spanNames.isrShrink : spanNames.isrExpand,
    parent: undefined,
    startMs,
    endMs: clock.monotonicMs(),
    error: "error" in end ? end.error : undefined,
    attributes: {
      ...placeAttributes(place),
      [attributeNames.follower]: changed,
      [attributeNames.lagMs]: followers.map(({ lagMs }) => Math.round(lagMs)),
      [attributeNames.lagRecords]: followers.map(({ lagRecords }) => lagRecords),
      [attributeNames.lastFetchMs]: followers.map(({ lastFetchMs }) => Math.round(lastFetchMs ?? -1)),
      [attributeNames.cause]: reason,
      [attributeNames.attempt]: attempts,
      ...("error" in end
        ? {}
        : {
            [attributeNames.isr]: end.isr,
            [attributeNames.elr]: end.elr,
            [attributeNames.partitionEpoch]: end.partitionEpoch,
          }),
    },
  });
}

/** Who leaves, or else who comes: in that order where both happen at once. */
function whoseChange({ from, to }: Pick<Change, "from" | "to">): readonly BrokerId[] {
  const gone = from.filter((member) => !to.includes(member));
  const come = to.filter((member) => !from.includes(member));
  return [...gone, ...come];
}

function recordCut(
  { tracer, clock }: Parts,
  place: PartitionPlace,
  event: Extract<TraceEvent, { readonly kind: "truncated" | "restarted" }>,
): void {
  const atMs = clock.monotonicMs();
  tracer.record({
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

function placeAttributes({ topic, index }: PartitionPlace) {
  return {
    [attributeNames.system]: messagingSystem,
    [attributeNames.topic]: topic,
    [attributeNames.partition]: String(index),
  };
}

/** What people should hear of: who leads, who left, what was cut, who doubts. */
function log(logger: Logger, { topic, index }: PartitionPlace, event: TraceEvent): void {
  const where = { topic, partition: index };
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
