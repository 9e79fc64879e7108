/**
 * The four election states and what each of them alone knows. `transitions.ts` is the only file that makes them.
 */
import type { CampaignCause } from "./events.ts";
import type { LogIndex, NodeId } from "./ids.ts";
import type { Progress } from "./progress.ts";
import type { SnapshotMeta } from "./start-state.ts";

export interface FollowerRole {
  readonly kind: "follower";
  leader: NodeId | undefined;
  /** When this node heard from `leader` last. */
  heardTick: number;
  /** When it began to wait: it heard from a leader, or granted a vote. */
  waitTick: number;
  timeoutTicks: number;
  /** All up to here is known to be as this term's leader has it. */
  verified: LogIndex;
  /** What the leader was told to be flushed. */
  acknowledged: LogIndex;
  /** The snapshot that is coming in. */
  receiving: { readonly snapshot: SnapshotMeta; nextOffset: number } | undefined;
  /** Reads that wait for the leader's answer. */
  readonly reads: Set<string>;
}

interface PreCandidateRole {
  readonly kind: "preCandidate";
  readonly cause: CampaignCause;
  readonly startTick: number;
  readonly timeoutTicks: number;
  readonly votes: Map<NodeId, boolean>;
}

interface CandidateRole {
  readonly kind: "candidate";
  readonly startTick: number;
  readonly timeoutTicks: number;
  readonly votes: Map<NodeId, boolean>;
}

/** A read that waits for the confirmation of `round`. `from`: who asked, this node itself or a follower. */
export interface PendingRead {
  readonly context: string;
  readonly from: NodeId;
  readonly index: LogIndex;
  readonly round: number;
}

export interface LeaderRole {
  readonly kind: "leader";
  /** Of the no-op that opened the term. */
  readonly firstIndex: LogIndex;
  /** All other members. */
  readonly progress: Map<NodeId, Progress>;
  readonly startTick: number;
  heartbeatTick: number;
  /** The newest round that heartbeats ask for. */
  round: number;
  /** Whether reads came that no heartbeat was sent for yet. */
  roundDue: boolean;
  /** In the order of their rounds. */
  reads: PendingRead[];
  /** Reads that came before this term's first commit. */
  earlyReads: { readonly context: string; readonly from: NodeId }[];
  transfer: { readonly to: NodeId; readonly startTick: number } | undefined;
  uncommittedBytes: number;
}

export type Role = FollowerRole | PreCandidateRole | CandidateRole | LeaderRole;
