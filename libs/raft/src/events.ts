/** What happened inside a node, for traces, spans and tests. Nothing in the protocol follows from an event. */
import type { LogIndex, NodeId, Position, Term } from "./ids.ts";
import type { Membership } from "./membership.ts";
import type { Message } from "./messages.ts";

/** Why a node began to look for votes. */
export type CampaignCause = "timeout" | "evidence" | "transfer";

/**
 * | cause      | a leader or candidate gave up because                                       |
 * |------------|-----------------------------------------------------------------------------|
 * | newerTerm  | a message of a newer term came                                              |
 * | leaderSeen | another node leads this term                                                |
 * | noQuorum   | a leader heard from no majority for an election timeout                     |
 * | removed    | a leader committed a membership without itself                              |
 * | outvoted   | a majority refused                                                          |
 * | gaveWay    | another node with as good a log, and a greater id, asks for pre-votes too    |
 */
export type FollowCause = "newerTerm" | "leaderSeen" | "noQuorum" | "removed" | "outvoted" | "gaveWay" | "leaderLost";

/**
 * | reason         | why a message was not taken up                                        |
 * |----------------|-----------------------------------------------------------------------|
 * | otherDirectory | it was meant for another disk                                         |
 * | leaderIsHeard  | it would depose a leader from whom this node heard a moment ago       |
 * | blankVoter     | the leader counts on votes and entries that this empty disk forgot: the member has to be removed, and added with its new id |
 * | twoLeaders     | a leader got an append of its own term: the sender is broken          |
 * | malformed      | entries with gaps or falling terms, or a piece beyond the snapshot     |
 */
export type MessageRefusal = "otherDirectory" | "leaderIsHeard" | "blankVoter" | "twoLeaders" | "malformed";

/** Why a vote was refused. */
export type VoteRefusal = "votedForOther" | "logBehind" | "leaderIsHeard" | "oldTerm" | "blank";

export type RaftEvent =
  | {
      readonly kind: "becameFollower";
      readonly term: Term;
      readonly leader: NodeId | undefined;
      readonly cause: FollowCause;
    }
  | { readonly kind: "becamePreCandidate"; readonly term: Term; readonly cause: CampaignCause }
  | { readonly kind: "becameCandidate"; readonly term: Term; readonly cause: CampaignCause }
  | { readonly kind: "becameLeader"; readonly term: Term; readonly last: Position }
  | { readonly kind: "leaderFound"; readonly term: Term; readonly leader: NodeId }
  | { readonly kind: "preVoted"; readonly forTerm: Term; readonly candidate: NodeId }
  | { readonly kind: "voted"; readonly term: Term; readonly candidate: NodeId }
  | {
      readonly kind: "voteRefused";
      readonly candidate: NodeId;
      readonly reason: VoteRefusal;
      readonly preVote: boolean;
    }
  | { readonly kind: "appended"; readonly from: LogIndex; readonly last: Position }
  | { readonly kind: "cut"; readonly from: LogIndex; readonly last: Position }
  | { readonly kind: "flushed"; readonly index: LogIndex }
  | { readonly kind: "committed"; readonly from: LogIndex; readonly to: LogIndex }
  | { readonly kind: "membershipChanged"; readonly index: LogIndex; readonly membership: Membership }
  | { readonly kind: "conflict"; readonly follower: NodeId; readonly previous: LogIndex; readonly next: LogIndex }
  | { readonly kind: "snapshotSending"; readonly follower: NodeId; readonly snapshot: LogIndex }
  | { readonly kind: "snapshotSent"; readonly follower: NodeId; readonly snapshot: LogIndex }
  | { readonly kind: "snapshotReceived"; readonly snapshot: Position }
  | { readonly kind: "compacted"; readonly through: LogIndex }
  /**
   * This disk lacks what the node had said to `leader` in this term to be flushed up to `known`; the log ends at `last`.
   * The node takes up nothing more, and its driver ends it.
   */
  | { readonly kind: "entriesLost"; readonly leader: NodeId; readonly known: LogIndex; readonly last: LogIndex }
  | { readonly kind: "readConfirmed"; readonly context: string; readonly index: LogIndex }
  | { readonly kind: "transferStarted"; readonly to: NodeId }
  | { readonly kind: "transferAbandoned"; readonly to: NodeId }
  | {
      readonly kind: "messageRefused";
      readonly from: NodeId;
      readonly message: Message["kind"];
      readonly reason: MessageRefusal;
    };
