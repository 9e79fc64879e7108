export type { BatchEntry, Entry, MembershipEntry, NoopEntry } from "./entry.ts";
export { describeEvent, describeMessage, type NameOf } from "./event-text.ts";
export type { CampaignCause, FollowCause, MessageRefusal, RaftEvent, VoteRefusal } from "./events.ts";
export { allGuards, type Guards } from "./guards.ts";
export { type LogIndex, logIndex, type NodeId, noIndex, noTerm, type Position, type Term, term } from "./ids.ts";
export type { ProposalOutcome, ProposalRefusal } from "./leader.ts";
export type { ReadOutcome } from "./machine.ts";
export type { Member, Membership, MembershipChange, MembershipRefusal } from "./membership.ts";
export type { ChangeOutcome, ChangeRefusal } from "./membership-change.ts";
export type {
  AppendAccepted,
  AppendRejected,
  AppendRequest,
  Heartbeat,
  HeartbeatResponse,
  Message,
  PreVoteRequest,
  PreVoteResponse,
  ReadRequest,
  ReadResponse,
  SnapshotChunk,
  SnapshotChunkOrder,
  SnapshotChunkResponse,
  StaleTerm,
  TimeoutNow,
  VoteRequest,
  VoteResponse,
} from "./messages.ts";
export { defaultLimits, type Limits, type RaftOptions, type Timing } from "./options.ts";
export { createRaft, type Raft } from "./raft.ts";
export type { ReadRefusal, ReadRequestOutcome } from "./read-index.ts";
export type { FlushToken, Ready, Write } from "./ready.ts";
export {
  blankStart,
  formattedStart,
  type HardState,
  type SnapshotMeta,
  StartError,
  type StartErrorReason,
  type StartState,
} from "./start-state.ts";
export type { FollowerStatus, RaftStatus } from "./status.ts";
export type { TransferOutcome, TransferRefusal } from "./transfer.ts";
