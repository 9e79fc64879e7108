import type { PartitionState } from "./partition-state.ts";
import { sameMembers } from "./partition-state.ts";
import type { PartitionView } from "./view.ts";

/**
 * What must hold of one partition at every moment. Each check returns what is broken, in words, and nothing when all
 * holds. They cost a few comparisons, so production runs them too.
 */

/** Of a committed state: leader in ISR, ISR within replicas, ISR and ELR apart, ELR empty at min ISR (R13). */
export function checkState(state: PartitionState): readonly string[] {
  const broken: string[] = [];
  const { isr, elr, replicas, leader, minIsr } = state;
  if (leader !== undefined && !isr.includes(leader))
    broken.push(`leader ${leader} is not in the ISR (${isr.join(",")})`);
  if (leader === undefined && isr.length > 0) broken.push(`an ISR (${isr.join(",")}) without a leader`);
  for (const member of isr) if (!replicas.includes(member)) broken.push(`ISR member ${member} is not assigned`);
  for (const member of elr) {
    if (!replicas.includes(member)) broken.push(`ELR member ${member} is not assigned`);
    if (isr.includes(member)) broken.push(`${member} is in ISR and ELR`);
  }
  if (elr.length > 0 && isr.length >= minIsr) broken.push(`an ELR (${elr.join(",")}) though the ISR reaches min ISR`);
  if (new Set(isr).size !== isr.length) broken.push(`the ISR (${isr.join(",")}) names a replica twice`);
  return broken;
}

/** From one committed state to a later one: epochs only grow, a leader epoch has one leader (P14). */
export function checkSuccession(before: PartitionState, after: PartitionState): readonly string[] {
  const broken: string[] = [];
  if (after.partitionEpoch <= before.partitionEpoch) broken.push("the partition epoch did not grow");
  if (after.leaderEpoch < before.leaderEpoch) broken.push("the leader epoch fell");
  if (after.leaderEpoch === before.leaderEpoch && after.leader !== before.leader) {
    broken.push(`leader epoch ${after.leaderEpoch} has two leaders`);
  }
  return broken;
}

/**
 * Of one replica: positions in their order, leader epochs in theirs, and what a leader counts. `before` is an earlier
 * view of the same life of it: what has not changed since is not looked at again.
 */
export function checkReplica(view: PartitionView, before?: PartitionView): readonly string[] {
  const broken: string[] = [];
  const { logStart, logEnd, flushed, highWatermark, leaderEpochs, leadership, state } = view;
  if (logStart > logEnd) broken.push(`log start ${logStart} is above log end ${logEnd}`);
  if (flushed > logEnd) broken.push(`flushed ${flushed} is above log end ${logEnd}`);
  if (highWatermark > logEnd) broken.push(`high watermark ${highWatermark} is above log end ${logEnd}`);
  if (before?.leaderEpochs !== leaderEpochs) broken.push(...checkLeaderEpochs(leaderEpochs));
  const newest = leaderEpochs.at(-1);
  if (newest !== undefined && newest.startOffset > logEnd) {
    broken.push(`leader epoch ${newest.leaderEpoch} starts above the log end`);
  }
  if (leadership === undefined || state === undefined) return broken;
  const { maximalIsr, replicas } = leadership;
  for (const member of state.isr)
    if (!maximalIsr.includes(member)) broken.push(`the maximal ISR lacks member ${member}`);
  if (leadership.proposal === undefined && !sameMembers(maximalIsr, state.isr)) {
    broken.push("the maximal ISR differs from the committed one without a proposal");
  }
  for (const { replica, verified, flushed: counted } of replicas) {
    if (replica !== view.self && verified !== undefined && counted !== undefined && counted > verified) {
      broken.push(`${replica} counts as flushed up to ${counted}, verified up to ${verified} only`);
    }
  }
  return broken;
}

function checkLeaderEpochs(leaderEpochs: PartitionView["leaderEpochs"]): readonly string[] {
  const broken: string[] = [];
  for (const [index, entry] of leaderEpochs.entries()) {
    const next = leaderEpochs[index + 1];
    if (next !== undefined && next.leaderEpoch <= entry.leaderEpoch) broken.push("leader epochs do not rise");
    if (next !== undefined && next.startOffset < entry.startOffset) broken.push("starts of leader epochs fall");
  }
  return broken;
}

/** From one moment of a replica to a later one of the same process: of a leadership neither the
 * high watermark falls, nor the log end below what was flushed.
 */
export function checkProgress(before: PartitionView, after: PartitionView): readonly string[] {
  const broken: string[] = [];
  const leaderEpoch = before.leadership?.leaderEpoch;
  if (leaderEpoch !== undefined && leaderEpoch === after.leadership?.leaderEpoch) {
    if (after.highWatermark < before.highWatermark) broken.push("the high watermark of a leader fell");
    // What a full disk did not take is taken back (L6), and that was never flushed.
    if (after.logEnd < before.flushed) broken.push("the log end of a leader fell below what was flushed");
  }
  if (before.state !== undefined && after.state !== undefined && after.state.leaderEpoch < before.state.leaderEpoch) {
    broken.push("the leader epoch fell");
  }
  return broken;
}
