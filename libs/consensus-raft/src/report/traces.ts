/**
 * Spans of the quorum.
 *
 * | span          | from                               | to                                        | recorded          |
 * |---------------|------------------------------------|-------------------------------------------|-------------------|
 * | campaign      | a node asks for votes              | it gives up; one that is won is handed on | always            |
 * | raft append   | a leader appended entries          | they are flushed at the leader            | as any other work |
 * | raft quorum   | a leader appended entries          | a majority has flushed them               | as any other work |
 * | raft snapshot | saving, or sending to a follower   | saved, or the follower has it             | always            |
 *
 * What is committed for an election hangs below its `commit batch`, and is recorded always.
 */
import type { NodeId, RaftEvent } from "@tidemark/raft";
import type { Clock } from "@tidemark/runtime";
import {
  attributeNames,
  type SpanAttributes,
  type SpanName,
  spanNames,
  type TraceContext,
  type Tracer,
} from "@tidemark/telemetry";
import type { NodeEvent } from "../node/events.ts";

export interface RaftTraces {
  /** Returns the span that was made of the event alone. */
  onEvent(event: NodeEvent): TraceContext | undefined;
}

/** Entries that were appended together. */
interface Appended {
  readonly last: number;
  readonly startMs: number;
  readonly parent: TraceContext | undefined;
}

/** A campaign that made this node the leader. Times of the monotonic clock. */
export interface WonCampaign {
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: SpanAttributes;
}

interface Parts {
  readonly tracer: Tracer;
  readonly clock: Clock;
  readonly parent: () => TraceContext | undefined;
  readonly onWon: (campaign: WonCampaign) => void;
}

interface State extends Parts {
  campaign: { readonly startMs: number; readonly cause: string } | undefined;
  /** In the order of their indexes. */
  unflushed: Appended[];
  uncommitted: Appended[];
  readonly sending: Map<NodeId, number>;
  leads: boolean;
}

export function createRaftTraces(parts: Parts): RaftTraces {
  const { clock } = parts;
  const state: State = {
    ...parts,
    campaign: undefined,
    unflushed: [],
    uncommitted: [],
    sending: new Map(),
    leads: false,
  };
  return {
    onEvent(event) {
      if (event.kind === "raft") onRaft(state, event.event);
      if (event.kind !== "snapshotSaved") return undefined;
      return record(state, spanNames.raftSnapshot, clock.monotonicMs() - event.ms, {
        [attributeNames.raftIndex]: event.index,
        [attributeNames.snapshotBytes]: event.bytes,
        [attributeNames.cause]: "save",
      });
    },
  };
}

function onRaft(state: State, event: RaftEvent): void {
  const now = state.clock.monotonicMs();
  switch (event.kind) {
    case "becamePreCandidate":
    case "becameCandidate":
      state.campaign ??= { startMs: now, cause: event.cause };
      return leadNoMore(state);
    case "becameLeader":
      endCampaign(state, event.term, "won");
      state.leads = true;
      return;
    case "becameFollower":
      endCampaign(state, event.term, event.cause);
      return leadNoMore(state);
    case "appended":
      noteAppended(state, event.last.index, now);
      return;
    case "flushed":
      state.unflushed = recordUpTo(state, spanNames.raftAppend, state.unflushed, event.index);
      return;
    case "committed":
      state.uncommitted = recordUpTo(state, spanNames.raftQuorum, state.uncommitted, event.to);
      return;
    case "snapshotSending":
      state.sending.set(event.follower, now);
      return;
    case "snapshotSent":
      return recordSent(state, event.follower, event.snapshot);
    default:
  }
}

function noteAppended(state: State, last: number, startMs: number): void {
  if (!state.leads) return;
  const parent = state.parent();
  if (parent === undefined && !state.tracer.samples(undefined)) return;
  state.unflushed.push({ last, startMs, parent });
  state.uncommitted.push({ last, startMs, parent });
}

function leadNoMore(state: State): void {
  state.leads = false;
  state.unflushed = [];
  state.uncommitted = [];
  state.sending.clear();
}

function endCampaign(state: State, term: number, outcome: string): void {
  const { campaign } = state;
  if (campaign === undefined) return;
  state.campaign = undefined;
  const { startMs, cause } = campaign;
  const attributes = {
    [attributeNames.raftTerm]: term,
    [attributeNames.cause]: cause,
    [attributeNames.outcome]: outcome,
  };
  if (outcome !== "won") {
    record(state, spanNames.campaign, startMs, attributes);
    return;
  }
  const backend = { [attributeNames.backend]: "raft" };
  state.onWon({ startMs, endMs: state.clock.monotonicMs(), attributes: { ...backend, ...attributes } });
}

/** Records those that end at or below `index`, and returns the others. */
function recordUpTo(state: State, name: SpanName, appended: Appended[], index: number): Appended[] {
  const open = appended.findIndex(({ last }) => last > index);
  const done = open === -1 ? appended : appended.slice(0, open);
  for (const { last, startMs, parent } of done)
    record(state, name, startMs, { [attributeNames.raftIndex]: last }, parent);
  return open === -1 ? [] : appended.slice(open);
}

function recordSent(state: State, follower: NodeId, index: number): void {
  const startMs = state.sending.get(follower);
  if (startMs === undefined) return;
  state.sending.delete(follower);
  record(state, spanNames.raftSnapshot, startMs, {
    [attributeNames.raftIndex]: index,
    [attributeNames.follower]: follower,
    [attributeNames.cause]: "send",
  });
}

function record(
  { tracer }: State,
  name: SpanName,
  startMs: number,
  attributes: SpanAttributes,
  parent?: TraceContext,
): TraceContext {
  return tracer.record({ name, parent, startMs, attributes: { [attributeNames.backend]: "raft", ...attributes } });
}
