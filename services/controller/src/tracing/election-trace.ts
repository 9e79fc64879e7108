/** The spans of one election: a cause, and every leader that changed because of it. */
import type { BrokerId, Revision } from "@tidemark/ids";
import type { ElectionEvent, MetadataEvent } from "@tidemark/metadata";
import {
  attributeNames,
  messagingSystem,
  type Span,
  spanNames,
  type TraceContext,
  type Tracer,
} from "@tidemark/telemetry";
import type { ControllerEvent } from "../events/controller-events.ts";

type EventOf<Kind extends ControllerEvent["kind"]> = Extract<ControllerEvent, { kind: Kind }>;
type SessionEnd = Extract<MetadataEvent, { kind: "sessionEnded" }>;

/** When a broker whose session ended was last there. Monotonic clock. */
export interface LastSeen {
  /** The end of its connection, or else its last heartbeat. */
  readonly lostMs: number;
  readonly lastHeardMs: number;
}

/**
 * | span          | from                                   | to                                              |
 * |---------------|----------------------------------------|-------------------------------------------------|
 * | election      | the broker was lost, or the decision   | every broker has the last batch                 |
 * | session end   | the broker was lost                    | the batch that ends the session is committed    |
 * | decide        | the command's turn                     | its changes are known                           |
 * | commit batch  | the batch is handed to the store       | it is committed and applied                     |
 * | publish       | the first batch is committed           | the broker was handed the last one, or the end  |
 * | partition     | the changes are known                  | its new leader was handed them, or the election |
 */
export interface ElectionTrace {
  /** Of all of it. */
  readonly context: TraceContext;
  readonly partitions: readonly { readonly event: ElectionEvent; readonly span: Span }[];
  /** A batch is handed to the store. Returns where hangs what the store does about it. */
  batchCommitting(event: EventOf<"batchCommitting">): TraceContext;
  batchCommitted(event: EventOf<"batchCommitted">): void;
  /** All of it is committed; `brokers` are to be told. */
  committed(revision: Revision, brokers: readonly BrokerId[]): void;
  /** A broker was handed everything up to a revision. */
  published(brokerId: BrokerId, revision: Revision): void;
  /** Nothing comes of it. Ends what is open; behind an end it does nothing. */
  fail(reason: string): void;
  /** Who was not told yet is waited for no longer, or told by somebody else. Behind an end it does nothing. */
  giveUp(why: "UNAVAILABLE" | "NOT_CONTROLLER"): void;
}

/** Whether somebody may have lost a leader by an election; that a new partition has one is no news. */
export function isAnew({ cause }: Pick<ElectionEvent, "cause">): boolean {
  return cause !== "topic created";
}

/** Such elections among what was decided. */
export function electionsOf(events: readonly MetadataEvent[]): readonly ElectionEvent[] {
  return events.flatMap((event) => (event.kind === "elected" && isAnew(event) ? [event] : []));
}

export function startElectionTrace(
  event: EventOf<"committing">,
  of: {
    readonly tracer: Tracer;
    readonly nowMs: () => number;
    readonly backend: string;
    readonly lastSeen: (brokerId: BrokerId) => LastSeen | undefined;
    readonly onEnd: () => void;
  },
): ElectionTrace {
  const { tracer, nowMs } = of;
  const decidedMs = nowMs();
  const turnMs = decidedMs - event.durationMs;
  const elections = electionsOf(event.events);
  const ended = event.events.flatMap((each) => (each.kind === "sessionEnded" ? [each] : []));
  const lostMs = (end: SessionEnd) => Math.min(turnMs, of.lastSeen(end.brokerId)?.lostMs ?? turnMs);
  const root = tracer.start({
    name: spanNames.election,
    parent: undefined,
    startMs: Math.min(turnMs, ...ended.map(lostMs)),
    attributes: {
      [attributeNames.cause]: elections[0]?.cause,
      [attributeNames.broker]: brokersOf(ended),
      [attributeNames.controllerEpoch]: event.epoch,
    },
  });
  const sessionEnds = ended.map((end) => {
    const lastHeardMs = of.lastSeen(end.brokerId)?.lastHeardMs;
    return tracer.start({
      name: spanNames.sessionEnd,
      parent: root.context,
      startMs: lostMs(end),
      attributes: {
        [attributeNames.broker]: end.brokerId,
        [attributeNames.brokerEpoch]: end.brokerEpoch,
        [attributeNames.cause]: end.cause,
        [attributeNames.lastHeartbeatMs]: lastHeardMs === undefined ? undefined : Math.round(turnMs - lastHeardMs),
      },
    });
  });
  tracer.record({
    name: spanNames.decide,
    parent: root.context,
    startMs: turnMs,
    endMs: decidedMs,
    attributes: {
      [attributeNames.partitions]: elections.length,
      [attributeNames.partitionsWithoutLeader]: elections.filter((each) => each.newLeader === undefined).length,
      [attributeNames.unclean]: elections.filter((each) => each.rule === "unclean").length,
    },
  });
  const partitions = elections.map((election) => ({
    event: election,
    span: startPartition(tracer, root, { election, startMs: decidedMs }),
  }));
  return followTrace({ root, sessionEnds, partitions }, of);
}

function followTrace(
  { root, sessionEnds, partitions }: Pick<ElectionTrace, "partitions"> & { root: Span; sessionEnds: readonly Span[] },
  of: Parameters<typeof startElectionTrace>[1],
): ElectionTrace {
  const { tracer, nowMs } = of;
  const handedOut = new Map<BrokerId, Revision>();
  let firstCommitMs: number | undefined;
  let last: { readonly revision: Revision; readonly awaited: Set<BrokerId> } | undefined;
  let committing: Span | undefined;
  let isOver = false;

  const tellPublish = (brokerId: BrokerId, error?: string) => {
    const endMs = nowMs();
    const startMs = firstCommitMs ?? endMs;
    tracer.record({
      name: spanNames.publish,
      parent: root.context,
      startMs,
      endMs,
      error,
      attributes: {
        [attributeNames.broker]: brokerId,
        [attributeNames.revision]: last?.revision,
        [attributeNames.lagMs]: Math.round(endMs - startMs),
      },
    });
  };
  const end = (error?: string) => {
    if (isOver) return;
    isOver = true;
    committing?.end({ error });
    for (const span of [...sessionEnds, ...partitions.map((each) => each.span), root]) span.end({ error });
    of.onEnd();
  };
  const tell = (brokerId: BrokerId, revision: Revision) => {
    if (last === undefined || isOver || revision < last.revision || !last.awaited.delete(brokerId)) return;
    tellPublish(brokerId);
    for (const { event, span } of partitions) if (event.newLeader === brokerId) span.end();
    if (last.awaited.size === 0) end();
  };
  return {
    context: root.context,
    partitions,
    batchCommitting({ batch, batches, changes }) {
      committing = tracer.start({
        name: spanNames.commitBatch,
        parent: root.context,
        attributes: {
          [attributeNames.backend]: of.backend,
          [attributeNames.batchIndex]: batch,
          [attributeNames.batchCount]: batches,
          [attributeNames.partitions]: changes,
        },
      });
      return committing.context;
    },
    batchCommitted({ revision }) {
      firstCommitMs ??= nowMs();
      for (const span of sessionEnds) {
        span.set({ [attributeNames.revision]: revision });
        span.end();
      }
      committing?.set({ [attributeNames.revision]: revision });
      committing?.end();
      committing = undefined;
    },
    committed(revision, brokers) {
      last = { revision, awaited: new Set(brokers) };
      if (brokers.length === 0) end();
      for (const [brokerId, upTo] of handedOut) tell(brokerId, upTo);
    },
    published(brokerId, revision) {
      handedOut.set(brokerId, revision);
      tell(brokerId, revision);
    },
    fail: end,
    giveUp(why) {
      if (isOver) return;
      // Who was never told is the one to look at.
      for (const brokerId of last?.awaited ?? []) tellPublish(brokerId, why);
      end();
    },
  };
}

function startPartition(
  tracer: Tracer,
  root: Span,
  { election, startMs }: { readonly election: ElectionEvent; readonly startMs: number },
): Span {
  const { topic, partition, oldLeader, newLeader, leaderEpoch, isr, elr, cause, rule } = election;
  return tracer.start({
    name: spanNames.partition,
    parent: root.context,
    startMs,
    attributes: {
      [attributeNames.system]: messagingSystem,
      [attributeNames.topic]: topic,
      [attributeNames.partition]: String(partition),
      [attributeNames.oldLeader]: oldLeader,
      [attributeNames.leader]: newLeader,
      [attributeNames.leaderEpoch]: leaderEpoch,
      [attributeNames.isr]: isr,
      [attributeNames.elr]: elr,
      [attributeNames.cause]: cause,
      [attributeNames.rule]: rule,
    },
  });
}

/** One broker as itself, several as a list, none not at all. */
function brokersOf(ended: readonly SessionEnd[]): number | readonly number[] | undefined {
  const [first, ...others] = ended.map((end) => end.brokerId);
  return others.length === 0 ? first : [first as number, ...others];
}
