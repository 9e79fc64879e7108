/**
 * What is committed, whoever says so: the record that the invariants compare everything with. It grows with the high
 * watermark of whichever leader goes furthest, and never changes (P8).
 */
import type { BrokerId, LeaderEpoch, Offset } from "@tidemark/ids";
import { checkProgress, checkReplica, checkState, checkSuccession } from "../invariants.ts";
import type { Answer } from "../outputs.ts";
import type { PartitionState } from "../partition-state.ts";
import type { PartitionView } from "../view.ts";
import type { Cluster, Request, SimulatedBroker } from "./cluster.ts";
import type { SimulatedBatch, SimulatedLog } from "./simulated-log.ts";

export interface Ledger {
  /** Compares every replica with what must hold; throws what is broken. After every step. */
  check(cluster: Cluster): void;
  /** Compares an answer with what is committed; throws what is broken. */
  answered(cluster: Cluster, broker: SimulatedBroker, answer: Answer, request: Request): void;
  /** One above the last committed offset. */
  end(): Offset;
  /** One above the last offset that was acknowledged with acks=all. */
  ackedEnd(): Offset;
  /** How many acks=all were given. */
  acked(): number;
}

export function createLedger(): Ledger {
  const committed: SimulatedBatch[] = [];
  const leaders = new Map<LeaderEpoch, BrokerId>();
  const views = new Map<BrokerId, { readonly run: number; readonly view: PartitionView }>();
  let state: PartitionState | undefined;
  const byOffset = new Map<Offset, SimulatedBatch>();
  let logStart = 0n as Offset;
  let ackedEnd = 0n as Offset;
  let acked = 0;
  const end = () => committed.at(-1)?.endOffset ?? (0n as Offset);

  /** Everything below a leader's high watermark is what the ledger holds there, and what it holds from now on. */
  const extend = (broker: SimulatedBroker, view: PartitionView) => {
    if (view.logStart > logStart) logStart = view.logStart;
    for (const batch of broker.log.batches) {
      if (batch.endOffset > view.highWatermark) return;
      const known = byOffset.get(batch.baseOffset);
      if (known === undefined) {
        if (batch.baseOffset !== end()) fail(`${broker.id} commits ${batch.baseOffset}, committed is ${end()}`);
        committed.push(batch);
        byOffset.set(batch.baseOffset, batch);
      } else if (known.value !== batch.value) {
        fail(`offset ${batch.baseOffset} names two records: ${known.value} and, on ${broker.id}, ${batch.value}`);
      }
    }
  };

  const checkViews = (cluster: Cluster) => {
    for (const broker of cluster.brokers) {
      const view = broker.partition?.view(cluster.nowMs());
      const before = views.get(broker.id);
      views.delete(broker.id);
      if (view === undefined) continue;
      const progress = before !== undefined && before.run === broker.run ? checkProgress(before.view, view) : [];
      const broken = [...checkReplica(view), ...progress];
      if (broken.length > 0) fail(`${broker.id}: ${broken.join("; ")}`);
      views.set(broker.id, { run: broker.run, view });
      if (view.leadership !== undefined) checkLeader(cluster, broker, view);
    }
  };
  const checkLeader = (cluster: Cluster, broker: SimulatedBroker, view: PartitionView) => {
    const leadership = view.leadership;
    if (leadership === undefined) return;
    const other = leaders.get(leadership.leaderEpoch);
    if (other !== undefined && other !== broker.id)
      fail(`${other} and ${broker.id} lead epoch ${leadership.leaderEpoch}`);
    leaders.set(leadership.leaderEpoch, broker.id);
    extend(broker, view);
    const newest = cluster.controller.state();
    if (leadership.leaderEpoch !== newest.leaderEpoch) return;
    for (const member of newest.isr) {
      if (!leadership.maximalIsr.includes(member))
        fail(`the maximal ISR of ${broker.id} lacks committed member ${member}`);
    }
  };
  const checkController = (cluster: Cluster) => {
    const newest = cluster.controller.state();
    const broken = [...checkState(newest)];
    if (state !== undefined && newest !== state) broken.push(...checkSuccession(state, newest));
    if (broken.length > 0) fail(`controller: ${broken.join("; ")}`);
    state = newest;
    for (const member of [...newest.isr, ...newest.elr]) {
      const broker = cluster.broker(member);
      // A disk that is lost is known to the metadata when its broker is back, and until then nobody elects it.
      if (cluster.controller.holdsDisk(member, broker.disk)) checkHolds(broker.log, member);
    }
  };
  /** Everything committed is on every ISR and ELR member, flushed. */
  const checkHolds = (log: SimulatedLog, member: BrokerId) => {
    if (log.durable < end()) fail(`member ${member} flushed up to ${log.durable}, committed is ${end()}`);
    // A log holds the committed batches above its start one behind the other, and then what is not committed yet.
    let index = committed.length;
    while (index > 0 && (committed[index - 1]?.endOffset ?? 0n) > log.start) index--;
    for (const batch of log.batches) {
      const known = committed[index];
      if (known === undefined) break;
      if (batch.value !== known.value) fail(`member ${member} lacks what is committed at ${known.baseOffset}`);
      index++;
    }
  };

  return {
    check(cluster) {
      checkViews(cluster);
      checkController(cluster);
    },
    answered(cluster, broker, answer, request) {
      switch (answer.kind) {
        case "produced":
          if (request.kind !== "produce") return;
          if (request.acks === "leader" && broker.log.durable < answer.endOffset)
            fail("acks=leader came before the flush");
          if (request.acks !== "all") return;
          checkViews(cluster);
          if (byOffset.get(answer.baseOffset)?.value !== request.value) {
            fail(`${answer.baseOffset} was acknowledged and is not committed there`);
          }
          acked++;
          if (answer.endOffset > ackedEnd) ackedEnd = answer.endOffset;
          return;
        case "consumerRead":
          if (answer.from === answer.upTo) return;
          if (answer.upTo > answer.highWatermark)
            fail(`served up to ${answer.upTo}, high watermark ${answer.highWatermark}`);
          checkViews(cluster);
          if (answer.upTo > end()) fail(`served what is not committed: ${answer.upTo}`);
          return;
        case "latestOffset":
          if (request.kind === "latest" && answer.offset < request.atLeast) {
            fail(`latest answered ${answer.offset}, committed and seen was ${request.atLeast}`);
          }
          return;
        case "refused":
          if (request.kind !== "fetch" || answer.refusal.reason !== "OFFSET_OUT_OF_RANGE") return;
          if (request.offset >= logStart && request.offset <= end())
            fail(`${request.offset} was called out of range, committed is ${end()}`);
          return;
        default:
          return;
      }
    },
    end,
    ackedEnd: () => ackedEnd,
    acked: () => acked,
  };
}

function fail(what: string): never {
  throw new Error(`Broken invariant: ${what}`);
}
