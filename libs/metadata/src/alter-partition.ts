/**
 * The controller's side of a change of the in-sync replicas (R6, R10). Proposals are judged one by one; what each is
 * refused for decides whether its leader may take it for settled:
 *
 * | refusal                                        | is the proposal settled as not applied? |
 * |------------------------------------------------|------------------------------------------|
 * | INELIGIBLE_REPLICA                             | yes                                      |
 * | FENCED_LEADER_EPOCH, INVALID_PARTITION_EPOCH,  | no: an earlier attempt of it may be the  |
 * | NOT_LEADER and all others                      | reason; wait for newer metadata          |
 *
 * Epochs are compared before anything else, so that an eligible member is never the reason given for an old proposal.
 */
import type { BrokerEpoch, BrokerId, ControllerEpoch, LeaderEpoch, PartitionIndex, TopicId } from "@tidemark/ids";
import { Reason } from "@tidemark/proto/common/v1";
import type { MetadataChange } from "./change.ts";
import { type Decision, decided, type Refusal } from "./decision.ts";
import type { MetadataEvent } from "./events.ts";
import { findPartition, findTopicById, type MetadataImage } from "./image.ts";
import { livenessOf } from "./liveness.ts";
import type { BrokerSession, Partition, Replica } from "./model.ts";
import { changePartition } from "./partition-change.ts";
import { sessionProblem } from "./register-broker.ts";

/** A member of a proposed ISR. */
export interface ProposedMember {
  readonly brokerId: BrokerId;
  /** Carried by the fetches that proved it in sync, never read from metadata. */
  readonly brokerEpoch: BrokerEpoch;
}

/** One partition's proposal. */
export interface IsrProposal {
  readonly topicId: TopicId;
  readonly partition: PartitionIndex;
  /** Leader epoch of the proposing leader. */
  readonly leaderEpoch: LeaderEpoch;
  /** Partition epoch that the proposal builds on. */
  readonly partitionEpoch: number;
  readonly isr: readonly ProposedMember[];
  /** The leader has flushed the start of its leader epoch after an unclean election. */
  readonly recovered: boolean;
}

/** What became of one proposal: the state that holds it, or why not. */
export type IsrProposalResult =
  | { readonly kind: "applied"; readonly partition: Partition }
  | { readonly kind: "refused"; readonly proposal: IsrProposal; readonly refusal: Refusal };

/**
 * Judges proposals of one leader. The answer has one result a proposal, in their order. Of two
 * proposals for one partition the second is judged by what the first made.
 */
export function alterPartitions(
  image: MetadataImage,
  command: {
    readonly brokerId: BrokerId;
    readonly brokerEpoch: BrokerEpoch;
    readonly proposals: readonly IsrProposal[];
  },
  controllerEpoch: ControllerEpoch,
): Decision<readonly IsrProposalResult[]> {
  const problem = sessionProblem(image, command);
  if (problem !== undefined) return problem;
  const changes: MetadataChange[] = [];
  const events: MetadataEvent[] = [];
  const results: IsrProposalResult[] = [];
  const judged = new Map<string, Partition>();
  for (const proposal of command.proposals) {
    const id = `${proposal.topicId}/${proposal.partition}`;
    const topic = findTopicById(image, proposal.topicId);
    const state = judged.get(id) ?? findPartition(image, proposal.topicId, proposal.partition);
    if (topic === undefined || state === undefined) {
      results.push({ kind: "refused", proposal, refusal: missing(proposal, topic !== undefined) });
      continue;
    }
    const refusal = epochProblem(state, command.brokerId, proposal);
    if (refusal !== undefined) {
      results.push({ kind: "refused", proposal, refusal });
      continue;
    }
    if (isRepeat(state, proposal)) {
      results.push({ kind: "applied", partition: state });
      continue;
    }
    const ineligible = memberProblem(image, state, proposal);
    if (ineligible !== undefined) {
      results.push({ kind: "refused", proposal, refusal: ineligible });
      continue;
    }
    const isr = proposal.isr.map((member) => member.brokerId);
    const recovering = state.recovering && !proposal.recovered;
    const step = changePartition(topic, state, { isr, leader: state.leader, recovering }, controllerEpoch);
    judged.set(id, step.partition);
    changes.push(step.change);
    events.push(...step.events);
    results.push({ kind: "applied", partition: step.partition });
  }
  return decided(results, changes, events);
}

/** Compares leader and partition epoch. A repeat of what stands, exactly one partition epoch behind, has no problem. */
function epochProblem(state: Partition, brokerId: BrokerId, proposal: IsrProposal): Refusal | undefined {
  const because = (reason: Reason, message: string) => ({ reason, message, partition: state.partition });
  if (proposal.leaderEpoch < state.leaderEpoch) {
    const text = `Leader epoch ${proposal.leaderEpoch} ended; now it is ${state.leaderEpoch}`;
    return because(Reason.FENCED_LEADER_EPOCH, text);
  }
  if (proposal.leaderEpoch > state.leaderEpoch) {
    const text = `Leader epoch ${proposal.leaderEpoch} has not begun; now it is ${state.leaderEpoch}`;
    return because(Reason.UNKNOWN_LEADER_EPOCH, text);
  }
  if (state.leader !== brokerId) {
    return because(Reason.NOT_LEADER, `Broker ${brokerId} does not lead in leader epoch ${state.leaderEpoch}`);
  }
  if (proposal.partitionEpoch === state.partitionEpoch || isRepeat(state, proposal)) return undefined;
  const text = `The proposal builds on partition epoch ${proposal.partitionEpoch}; now it is ${state.partitionEpoch}`;
  return because(Reason.INVALID_PARTITION_EPOCH, text);
}

/** Whether the state is what this proposal led to, and nothing came after it: its first success was lost. */
function isRepeat(state: Partition, proposal: IsrProposal): boolean {
  return (
    proposal.partitionEpoch === state.partitionEpoch - 1 &&
    proposal.isr.length === state.isr.length &&
    proposal.isr.every((member) => state.isr.includes(member.brokerId)) &&
    !(state.recovering && proposal.recovered)
  );
}

function memberProblem(image: MetadataImage, state: Partition, proposal: IsrProposal): Refusal | undefined {
  const because = (reason: Reason, message: string) => ({ reason, message, partition: state.partition });
  const ids = new Set(proposal.isr.map((member) => member.brokerId));
  if (ids.size < proposal.isr.length) return because(Reason.INVALID_ARGUMENT, "The ISR names a broker twice");
  if (state.leader === undefined || !ids.has(state.leader)) {
    return because(Reason.INVALID_ARGUMENT, "The ISR does not name the leader");
  }
  const liveness = livenessOf(image.sessions);
  for (const { brokerId, brokerEpoch } of proposal.isr) {
    const replica = state.replicas.find((each) => each.brokerId === brokerId);
    if (replica === undefined) return because(Reason.INVALID_ARGUMENT, `Broker ${brokerId} has no replica`);
    // Who stands in the ISR stays by what it has flushed; only an entry is proven by fetches (R10).
    if (state.isr.includes(brokerId)) continue;
    const session = image.sessions.get(brokerId);
    if (session?.brokerEpoch !== brokerEpoch) {
      const now = session === undefined ? "it has no session" : `its broker epoch is ${session.brokerEpoch}`;
      return because(Reason.INELIGIBLE_REPLICA, `Broker ${brokerId} was seen with broker epoch ${brokerEpoch}; ${now}`);
    }
    if (!liveness.mayJoin(replica)) {
      return because(Reason.INELIGIBLE_REPLICA, ineligibleText(session, replica));
    }
  }
  return undefined;
}

/** Why a replica of a broker that has a session may not join. */
function ineligibleText({ brokerId, brokerEpoch, state }: BrokerSession, { damagedIn, offlineIn }: Replica): string {
  const who = `Broker ${brokerId}`;
  if (state !== "running") return `${who} is ${state}`;
  if (damagedIn === brokerEpoch) return `${who} found its replica damaged, and has not begun to copy it anew`;
  if (offlineIn === brokerEpoch) return `${who} says that its replica is not served`;
  return `${who} has not registered the log directory of its replica`;
}

function missing(proposal: IsrProposal, hasTopic: boolean): Refusal {
  const { topicId, partition } = proposal;
  if (hasTopic) return { reason: Reason.UNKNOWN_PARTITION, message: `There is no partition ${partition}`, partition };
  return { reason: Reason.UNKNOWN_TOPIC_ID, message: `There is no topic with the id ${topicId}`, partition };
}
