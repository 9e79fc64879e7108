/**
 * Spans of the quorum.
 *
 * | span          | from                               | to                                        | recorded          |
 * |---------------|------------------------------------|-------------------------------------------|-------------------|
 * | campaign      | a node asks for votes              | it leads, or gives up                     | always            |
 * | raft append   | a leader appended entries          | they are flushed at the leader            | as any other work |
 * | raft quorum   | a leader appended entries          | a majority has flushed them               | as any other work |
 * | raft snapshot | saving, or sending to a follower   | saved, or the follower has it             | always            |
 */
import type { NodeId, RaftEvent } from "@tidemark/raft";
import type { Clock } from "@tidemark/runtime";
import { attributeNames, type SpanAttributes, type SpanName, spanNames, type Tracer } from "@tidemark/telemetry";
import type { NodeEvent } from "../node/events.ts";

export interface RaftTraces {
  onEvent(event: NodeEvent): void;
}

/** Entries that were appended together. */
interface Appended {
  readonly last: number;
  readonly startMs: number;
}

interface State {
  readonly tracer: Tracer;
  readonly clock: Clock;
  campaign: { readonly startMs: number; readonly cause: string } | undefined;
  /** In the order of their indexes. */
  unflushed: Appended[];
  uncommitted: Appended[];
  readonly sending: Map<NodeId, number>;
  leads: boolean;
}

export function createRaftTraces(tracer: Tracer, clock: Clock): RaftTraces {
  const state: State = {
    tracer,
    clock,
    campaign: undefined,
    unflushed: [],
    uncommitted: [],
    sending: new Map(),
    leads: false,
  };
  return {
    onEvent(event) {
      if (event.kind === "raft") onRaft(state, event.event);
      if (event.kind === "snapshotSaved") {
        record(state, spanNames.raftSnapshot, clock.monotonicMs() - event.ms, {
          [attributeNames.raftIndex]: event.index,
          [attributeNames.snapshotBytes]: event.bytes,
          [attributeNames.cause]: "save",
        });
      }
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
      if (!state.leads || !state.tracer.samples(undefined)) return;
      state.unflushed.push({ last: event.last.index, startMs: now });
      state.uncommitted.push({ last: event.last.index, startMs: now });
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
  record(state, spanNames.campaign, campaign.startMs, {
    [attributeNames.raftTerm]: term,
    [attributeNames.cause]: campaign.cause,
    [attributeNames.outcome]: outcome,
  });
}

/** Records those that end at or below `index`, and returns the others. */
function recordUpTo(state: State, name: SpanName, appended: Appended[], index: number): Appended[] {
  const open = appended.findIndex(({ last }) => last > index);
  const done = open === -1 ? appended : appended.slice(0, open);
  for (const { last, startMs } of done) record(state, name, startMs, { [attributeNames.raftIndex]: last });
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

function record({ tracer }: State, name: SpanName, startMs: number, attributes: SpanAttributes): void {
  tracer.record({ name, parent: undefined, startMs, attributes: { [attributeNames.backend]: "raft", ...attributes } });
}
