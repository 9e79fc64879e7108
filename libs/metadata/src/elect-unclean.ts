/**
 * Unclean election (D2, D3): the last resort of a partition without any eligible replica. It is decided from what every
 * live replica answered about its log, asked beforehand:
 *
 * 1. The highest (last leader epoch, log end) wins; of equals the first in the order of assignment.
 * 2. It leads alone in the ISR, marked *recovering* until it has flushed the start of its leader epoch.
 * 3. Nobody is eligible beside it: whoever was holds another history now, and cuts what the leader does not have.
 * 4. A receipt is opened, which each of the other replicas completes by what it cut; the leader too, where the receipt
 *    before still waited for it.
 *    One that is damaged and given up has its entry at once.
 * 5. Where the metadata are older than what replicas hold, as restored ones are, a command decides so though there is a
 *    leader: nobody takes writes until then. The leader epoch rises above all that replicas have seen.
 */
import type { BrokerEpoch, BrokerId, LeaderEpoch, PartitionIndex } from "@tidemark/ids";
import { leaderEpoch } from "@tidemark/ids";
import { Reason } from "@tidemark/proto/common/v1";
import { type MetadataChange, putReceipt } from "./change.ts";
import type { ReplicaId } from "./damage.ts";
import { type Decision, decided, type Refusal } from "./decision.ts";
import type { MetadataEvent } from "./events.ts";
import { findPartition, findReceipt, findTopicById, type MetadataImage, receiptId } from "./image.ts";
import { livenessOf } from "./liveness.ts";
import type { Partition, Receipt, ReplicaPosition, Topic } from "./model.ts";
import { changePartition } from "./partition-change.ts";
import { copiedAnew } from "./receipt-cuts.ts";
import type { ElectionContext } from "./register-broker.ts";
import { seenEpochMax } from "./regressed.ts";

/** Where a replica stood when it was asked. */
export interface AnsweredPosition extends ReplicaPosition {
  /** Of the broker that answered: an answer of an incarnation that is gone counts for nothing. */
  readonly brokerEpoch: BrokerEpoch;
  /** The newest leader epoch that it has seen, where the metadata are older by now. Undefined: they are not. */
  readonly regressedFrom?: LeaderEpoch | undefined;
}

export interface UncleanElectionCommand {
  readonly partitions: readonly ReplicaId[];
  /** By `receiptId`. */
  readonly positions: ReadonlyMap<string, readonly AnsweredPosition[]>;
  /** False where the topics' settings allow it. */
  readonly commanded: boolean;
  /** Milliseconds since 1970. */
  readonly timeMs: number;
}

/** What became of one partition. */
export interface UncleanElectionResult {
  readonly topic: Topic;
  readonly partition: PartitionIndex;
  readonly state: Partition;
  /** Undefined where a leader was elected. */
  readonly refusal: Refusal | undefined;
}

/** Elects leaders for those of the partitions that still have none. Partitions that are gone are passed over. */
export function electUnclean(
  image: MetadataImage,
  command: UncleanElectionCommand,
  context: Pick<ElectionContext, "controllerEpoch">,
): Decision<readonly UncleanElectionResult[]> {
  const changes: MetadataChange[] = [];
  const events: MetadataEvent[] = [];
  const results: UncleanElectionResult[] = [];
  for (const { topicId, partition } of command.partitions) {
    const topic = findTopicById(image, topicId);
    const state = findPartition(image, topicId, partition);
    if (topic === undefined || state === undefined) continue;
    const about = { topic, partition };
    const answered = credible(image, state, command.positions.get(receiptId(state)) ?? []);
    if (state.regressedFrom !== undefined && !command.commanded) {
      const message = `Replicas of ${topic.name}-${partition} have seen more than the metadata know of: only a command decides`;
      results.push({ ...about, state, refusal: { reason: Reason.METADATA_REGRESSED, message } });
      continue;
    }
    const regressedFrom = newestSeen(state, answered);
    if (state.leader !== undefined && !(command.commanded && regressedFrom !== undefined)) {
      const text = `Broker ${state.leader} leads`;
      results.push({ ...about, state, refusal: { reason: Reason.ELECTION_NOT_NEEDED, message: text } });
      continue;
    }
    const best = longest(state, answered);
    if (best === undefined) {
      const message = `No live replica of ${topic.name}-${partition} said how far its log goes`;
      results.push({ ...about, state, refusal: { reason: Reason.ELIGIBLE_LEADERS_NOT_AVAILABLE, message } });
      continue;
    }
    const { brokerId: leader } = best;
    // It may have cut for an unclean election before, and not have said so yet: this receipt takes the place of that one.
    const stillCutting = findReceipt(image, state)?.awaited ?? [];
    const others = state.replicas.map((replica) => replica.brokerId).filter((id) => id !== leader);
    const givenUp = others.filter((id) => isGivenUp(image, state, id));
    const cutting = others.filter((id) => !givenUp.includes(id));
    const election = { cause: "unclean", rule: "unclean", above: regressedFrom } as const;
    const wanted = { isr: [leader], leader, recovering: true, lost: others, election };
    const step = changePartition(topic, state, wanted, context.controllerEpoch);
    const receipt: Receipt = {
      topicId,
      partition,
      leaderEpoch: step.partition.leaderEpoch,
      leader,
      commanded: command.commanded,
      timeMs: command.timeMs,
      positions: answered.map(({ brokerId, lastLeaderEpoch, logEnd, logStart }) => ({
        brokerId,
        lastLeaderEpoch,
        logEnd,
        logStart,
      })),
      cuts: givenUp.map(copiedAnew),
      awaited: stillCutting.includes(leader) ? [...cutting, leader] : cutting,
    };
    changes.push(step.change, putReceipt(receipt));
    events.push(...step.events, { kind: "receipt", topic: topic.name, partition, receipt });
    results.push({ ...about, state: step.partition, refusal: undefined });
  }
  return decided(results, changes, events);
}

/** Whether its log was found damaged and is not being copied anew yet: it is given up before it could cut anything. */
function isGivenUp({ knownBrokers }: MetadataImage, { replicas }: Partition, brokerId: BrokerId): boolean {
  const damagedIn = replicas.find((each) => each.brokerId === brokerId)?.damagedIn;
  return damagedIn !== undefined && damagedIn === knownBrokers.get(brokerId)?.brokerEpoch;
}

/**
 * Answers of replicas whose broker still has the broker epoch in which it answered, and may lead, and which can be true.
 */
function credible(
  image: MetadataImage,
  state: Partition,
  positions: readonly AnsweredPosition[],
): readonly AnsweredPosition[] {
  const { mayJoin } = livenessOf(image.sessions);
  return positions.filter(({ brokerId, brokerEpoch, lastLeaderEpoch, regressedFrom = 0 }) => {
    if (Math.max(lastLeaderEpoch, regressedFrom) > seenEpochMax) return false;
    const replica = state.replicas.find((each) => each.brokerId === brokerId);
    return replica !== undefined && mayJoin(replica) && image.sessions.get(brokerId)?.brokerEpoch === brokerEpoch;
  });
}

function newestSeen(state: Partition, positions: readonly AnsweredPosition[]): LeaderEpoch | undefined {
  const seen = [state, ...positions].flatMap(({ regressedFrom }) => regressedFrom ?? []);
  return seen.length === 0 ? undefined : leaderEpoch(Math.max(...seen));
}

function longest(state: Partition, positions: readonly AnsweredPosition[]): AnsweredPosition | undefined {
  let best: AnsweredPosition | undefined;
  for (const { brokerId } of state.replicas) {
    const position = positions.find((each) => each.brokerId === brokerId);
    if (position !== undefined && (best === undefined || isLonger(position, best))) best = position;
  }
  return best;
}

function isLonger(a: ReplicaPosition, b: ReplicaPosition): boolean {
  return a.lastLeaderEpoch === b.lastLeaderEpoch ? a.logEnd > b.logEnd : a.lastLeaderEpoch > b.lastLeaderEpoch;
}
