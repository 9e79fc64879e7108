/**
 * Elections after something happened to brokers (D2, D9): every partition is brought to what the living sessions allow.
 *
 * | ISR members that may stay | leader among them | outcome                                                       |
 * |---------------------------|-------------------|---------------------------------------------------------------|
 * | all                       | yes               | nothing changes                                               |
 * | some                      | yes               | the others leave the ISR, the leader stays                    |
 * | some                      | no                | one of them leads; one that is about to stop only as the last |
 * | none                      | -                 | a living ELR member leads, alone in the ISR                   |
 * | none, no living ELR       | -                 | no leader, the ISR is empty, its last members are in the ELR  |
 *
 * A member that may lack what it had flushed or counted (`lost`) leaves ISR and ELR alike. A partition whose replicas
 * have seen more than the metadata know of is left without a leader, whoever lives (`regressed.ts`).
 *
 * The walk is total and idempotent: what it made, it leaves as it is. So a controller that begins, and finds the work
 * of its predecessor half done, walks and is done.
 */
import type { BrokerId, ControllerEpoch } from "@tidemark/ids";
import type { MetadataChange } from "./change.ts";
import type { Draw } from "./decision.ts";
import type { ElectionCause, ElectionRule, MetadataEvent } from "./events.ts";
import { allElectionGuards, type ElectionGuards } from "./guards.ts";
import { eachPartition, type MetadataImage } from "./image.ts";
import type { Liveness } from "./liveness.ts";
import type { Partition, Replica, Topic } from "./model.ts";
import { changePartition, type PartitionStep, type WantedState } from "./partition-change.ts";

/** `random` as in Kafka's original design, or the first of the replicas as they are assigned. */
export type LeaderSelection = "random" | "assigned-order";

export interface SettleContext {
  readonly controllerEpoch: ControllerEpoch;
  readonly cause: ElectionCause;
  readonly liveness: Liveness;
  readonly selection: LeaderSelection;
  readonly draw: Draw;
  /** Brokers whose leaderships end in any case. They are elected again only where nobody else can be. */
  readonly unseated?: ReadonlySet<BrokerId>;
  /** Tests turn single guards off. Absent: every guard on. */
  readonly guards?: ElectionGuards;
  /** Whether a replica may have lost records that counted as held by it (D8). */
  readonly isLost?: (topic: Topic, replica: Replica) => boolean;
  /** Notes something about a partition's replicas beforehand. Returns the very same partition where it has nothing to. */
  readonly mark?: (partition: Partition) => Partition;
}

/** Brings every visible partition to what the sessions allow. Partitions whose leader changes come first. */
export function settlePartitions(
  image: MetadataImage,
  context: SettleContext,
): { readonly changes: readonly MetadataChange[]; readonly events: readonly MetadataEvent[] } {
  const elections: PartitionStep[] = [];
  const others: PartitionStep[] = [];
  for (const { topic, partition } of eachPartition(image)) {
    const step = settlePartition(topic, partition, context);
    if (step === undefined) continue;
    (step.partition.leaderEpoch === partition.leaderEpoch ? others : elections).push(step);
  }
  const steps = [...elections, ...others];
  return { changes: steps.map((step) => step.change), events: steps.flatMap((step) => step.events) };
}

/** Brings one partition to what the sessions allow. Undefined where nothing changes. */
export function settlePartition(topic: Topic, given: Partition, context: SettleContext): PartitionStep | undefined {
  const before = context.mark?.(given) ?? given;
  const isMarked = before !== given;
  const { liveness, unseated, cause } = context;
  const holders = replicasOf(before, [...before.isr, ...before.elr]);
  const lost = holders.filter((replica) => context.isLost?.(topic, replica)).map((replica) => replica.brokerId);
  const staying = replicasOf(before, without(before.isr, lost)).filter(liveness.mayStay);
  const isr = staying.map((replica) => replica.brokerId);
  const { keepsTheEligible } = context.guards ?? allElectionGuards;
  const ineligible = keepsTheEligible ? lost : holders.map((replica) => replica.brokerId);
  const change = (wanted: WantedState) =>
    changePartition(topic, before, { ...wanted, lost: ineligible }, context.controllerEpoch);
  const leave = (because: ElectionCause) => {
    const hasNobody = before.leader === undefined && before.isr.length === 0;
    if (!hasNobody) return change({ isr: [], leader: undefined, election: { cause: because, rule: "none" } });
    return lost.length === 0 && !isMarked ? undefined : change({ isr: [], leader: undefined });
  };
  if (before.regressedFrom !== undefined) return leave("metadata regressed");
  const leaderStays = before.leader !== undefined && isr.includes(before.leader) && !unseated?.has(before.leader);
  if (leaderStays) {
    if (isr.length === before.isr.length && lost.length === 0 && !isMarked) return undefined;
    return change({ isr, leader: before.leader });
  }
  const chosen = chooseLeader({ ...before, elr: without(before.elr, lost) }, staying, context);
  if (chosen !== undefined) {
    const isrAfter = chosen.rule === "isr" ? [...isr, chosen.leader] : [chosen.leader];
    return change({ isr: isrAfter, leader: chosen.leader, election: { cause, rule: chosen.rule } });
  }
  return leave(cause);
}

function chooseLeader(
  partition: Partition,
  staying: readonly Replica[],
  context: SettleContext,
): { readonly leader: BrokerId; readonly rule: ElectionRule } | undefined {
  const { liveness, unseated, guards = allElectionGuards } = context;
  const running = guards.electsTheLiving ? staying.filter(liveness.mayJoin) : replicasOf(partition, partition.isr);
  const choices: readonly (readonly [ElectionRule, readonly Replica[]])[] = [
    ["isr", running.filter((replica) => !unseated?.has(replica.brokerId))],
    ["isr", running],
    ["isr", staying],
    ["elr", replicasOf(partition, partition.elr).filter(liveness.mayJoin)],
    ["unclean", guards.staysClean ? [] : partition.replicas.filter(liveness.mayJoin)],
  ];
  for (const [rule, candidates] of choices) {
    const index = context.selection === "random" && candidates.length > 1 ? context.draw(candidates.length) : 0;
    const leader = candidates[index]?.brokerId;
    if (leader !== undefined) return { leader, rule };
  }
  return undefined;
}

function without(members: readonly BrokerId[], others: readonly BrokerId[]): readonly BrokerId[] {
  return members.filter((member) => !others.includes(member));
}

/** Replicas of these brokers in the order in which they are assigned. */
function replicasOf(partition: Partition, members: readonly BrokerId[]): readonly Replica[] {
  return partition.replicas.filter((replica) => members.includes(replica.brokerId));
}
