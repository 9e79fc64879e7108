import type { BrokerExperiment } from "@tidemark/broker";
import { findPartition, findTopicById, type MetadataImage, type Partition } from "@tidemark/metadata";
import { checkProgress, checkReplica, type PartitionView } from "@tidemark/replication";
import type { Violations } from "./violations.ts";

type ReplicaId = Parameters<NonNullable<BrokerExperiment["onStep"]>>[0];

/**
 * Looks into the machines of all replicas, after each of their steps:
 *
 * - what each replica knows agrees with itself, and only moves as it may while its process lives;
 * - a leader epoch is led by one broker (P14);
 * - everything below the highest high watermark that any leader had is on every member of ISR and ELR whose session
 *   lives, and flushed there, but for what was committed before its process began (P1);
 * - the maximal ISR of a leader holds the ISR that the controller committed in its leader epoch (R6);
 * - a partition epoch has one state of the partition, whichever broker knows it, by the metadata or by an answer (P15).
 */
export interface ReplicaWatch {
  /** What a process of a broker tells of its replicas. `process`: unlike that of any other life of a broker. */
  observe(process: string, broker: number): NonNullable<BrokerExperiment["onStep"]>;
  /** A replica as it stood last in a process that lives. `process`: as it was observed. */
  viewOf(process: string, replica: ReplicaId): PartitionView | undefined;
  /** First offset behind all that any leader called committed. */
  committed(replica: ReplicaId): bigint;
  /** The process has ended. */
  forget(process: string): void;
  /** The replicas of these partitions as they stood last in processes that live, a line each. `of` takes `<topic id>-<n>`. */
  describe(of: (partition: string) => boolean): readonly string[];
  /** Checks what spans several brokers. To be called from time to time. */
  checkTogether(): void;
}

type PartitionStateView = NonNullable<PartitionView["state"]>;

interface Seen {
  readonly broker: number;
  /** As the machine names itself that was begun last. */
  replica: ReplicaId;
  /** What was committed when the process was first seen with it. */
  readonly committedBefore: bigint;
  view: PartitionView;
}

/** A member that lacked committed records at some moment, as the metadata were known then. */
interface Suspect {
  readonly sinceMs: number;
  readonly partitionEpoch: number;
  readonly text: string;
}

/** What a leader called committed, and the leader epochs of its log. */
interface Committed {
  /** First offset behind it. */
  readonly offset: bigint;
  readonly leaderEpochs: PartitionView["leaderEpochs"];
}

/** Within so many milliseconds whoever looks on has heard of a change that a broker acts upon. */
const newsMs = 50;

/** `image`: the metadata as they are known to somebody whom no fault reaches. */
export function createReplicaWatch(
  { report }: Violations,
  clock: { readonly nowMs: number },
  image: () => MetadataImage,
): ReplicaWatch {
  const lives = new Map<string, Map<string, Seen>>();
  const leaders = new Map<string, number>();
  const committed = new Map<string, Committed>();
  const suspects = new Map<string, Suspect>();
  /** By partition: the newest partition epoch that any broker knows. */
  const newestEpochs = new Map<string, number>();
  /** By partition and partition epoch: its state, and who knew it first. */
  const states = new Map<string, { readonly text: string; readonly process: string }>();

  /** By the object that a replica names itself with, which stays the same: each step asks. */
  const names = new WeakMap<ReplicaId, string>();
  const nameOf = (replica: ReplicaId): string => {
    const name = names.get(replica) ?? keyOf(replica);
    names.set(replica, name);
    return name;
  };

  const checkLeader = (key: string, broker: number, view: PartitionView, before: PartitionView | undefined) => {
    const { leadership, highWatermark } = view;
    if (leadership === undefined) return;
    // Noted when it began to lead.
    if (before?.leadership?.leaderEpoch !== leadership.leaderEpoch) {
      const of = `${key} leader epoch ${leadership.leaderEpoch}`;
      const known = leaders.get(of);
      if (known === undefined) leaders.set(of, broker);
      else if (known !== broker) report("a leader epoch is led by two brokers", `${of}: ${known} and ${broker}`);
    }
    if (highWatermark > (committed.get(key)?.offset ?? 0n)) {
      committed.set(key, { offset: highWatermark, leaderEpochs: view.leaderEpochs });
    }
  };
  const checkState = (key: string, process: string, state: PartitionStateView) => {
    const of = `${key} partition epoch ${state.partitionEpoch}`;
    const text = describeState(state);
    const first = states.get(of);
    if (first === undefined) states.set(of, { text, process });
    else if (first.text !== text) {
      report("a partition epoch has two states", `${of}: ${text} on ${process}, ${first.text} on ${first.process}`);
    }
  };
  /** The partition, where this replica is counted on: in ISR or ELR, and registered as it is. */
  const countedOn = ({ broker, replica, view }: Seen): Partition | undefined => {
    const partition = findPartition(image(), replica.topicId, replica.partition);
    const session = [...image().sessions.values()].find(({ brokerId }) => brokerId === broker);
    if (partition === undefined || session?.brokerEpoch !== view.brokerEpoch) return undefined;
    const members: readonly number[] = [...partition.isr, ...partition.elr];
    return members.includes(broker) ? partition : undefined;
  };
  const checkMember = (key: string, process: string, seen: Seen) => {
    const { view } = seen;
    const needed = committed.get(key);
    if (view.role === "offline" || needed === undefined || holds(seen, needed)) return;
    const partition = countedOn(seen);
    const of = `${key} ${process}`;
    if (partition === undefined || suspects.has(of) || mayLose(image(), seen.replica)) return;
    suspects.set(of, {
      sinceMs: clock.nowMs,
      partitionEpoch: partition.partitionEpoch,
      text:
        `${key} on ${process}: log end ${view.logEnd}, flushed ${view.flushed}, committed ${needed.offset}; leader ${partition.leader ?? "none"} in leader ` +
        `epoch ${partition.leaderEpoch}, ISR ${partition.isr.join(",")}, ELR ${partition.elr.join(",")}; ` +
        `it ${describeView(view)}`,
    });
  };
  /** What the leader knows of may be newer than what the onlooker does; that is older it may not be without counting it. */
  const checkMaximalIsr = (key: string, process: string, { broker, replica, view }: Seen) => {
    const { leadership, state } = view;
    const partition = findPartition(image(), replica.topicId, replica.partition);
    if (leadership === undefined || state === undefined || partition === undefined) return;
    const isLed = partition.leader === broker && partition.leaderEpoch === leadership.leaderEpoch;
    if (!isLed || partition.partitionEpoch < state.partitionEpoch) return;
    const missing = partition.isr.filter((member) => !leadership.maximalIsr.includes(member));
    if (missing.length === 0) return;
    const text = `${key} on ${process} lacks ${missing.join(",")}, in the ISR at partition epoch ${partition.partitionEpoch}`;
    report("a leader does not count who is in the ISR", text);
  };
  /** A change may be on its way to whoever looks on, while brokers know and obey it: then nothing is proved. */
  const judgeSuspects = () => {
    for (const [of, { sinceMs, partitionEpoch, text }] of suspects) {
      if (clock.nowMs - sinceMs < newsMs) continue;
      suspects.delete(of);
      const [key = "", process = ""] = of.split(" ");
      const { replica } = lives.get(process)?.get(key) ?? {};
      const now = replica === undefined ? undefined : findPartition(image(), replica.topicId, replica.partition);
      const isNewest = partitionEpoch >= (newestEpochs.get(key) ?? 0);
      if (now?.partitionEpoch === partitionEpoch && isNewest)
        report("a member of ISR or ELR lacks committed records", text);
    }
  };

  return {
    observe(process, broker) {
      const own = new Map<string, Seen>();
      lives.set(process, own);
      /** Machines in whose place another one was begun. */
      const replaced = new WeakSet<ReplicaId>();
      return (replica, takeView) => {
        const key = nameOf(replica);
        const view = takeView();
        const before = own.get(key);
        // Answers to what it had asked still reach it, and it knows no newer metadata: it may do nothing with them.
        if (replaced.has(replica)) {
          if (view.role !== "offline") report("a replica that was replaced is in service", `${key} on ${process}`);
          return;
        }
        if (before !== undefined && before.replica !== replica) {
          replaced.add(before.replica);
          before.replica = replica;
        }
        for (const text of checkReplica(view, before?.view))
          report("a replica contradicts itself", `${key} on ${process}: ${text}`);
        if (before !== undefined) {
          for (const text of checkProgress(before.view, view))
            report("a replica went back", `${key} on ${process}: ${text}`);
        }
        checkLeader(key, broker, view, before?.view);
        if (view.state !== undefined && view.state !== before?.view.state) checkState(key, process, view.state);
        const seen = before ?? { broker, replica, committedBefore: committed.get(key)?.offset ?? 0n, view };
        if (before === undefined) own.set(key, seen);
        seen.view = view;
        const { partitionEpoch = 0 } = view.state ?? {};
        if (partitionEpoch > (newestEpochs.get(key) ?? 0)) newestEpochs.set(key, partitionEpoch);
        checkMember(key, process, seen);
      };
    },
    describe: (of) =>
      [...lives].flatMap(([process, own]) =>
        [...own].flatMap(([key, { view }]) => (of(key) ? `${key} on ${process} ${describeView(view)}` : [])),
      ),
    viewOf: (process, replica) => lives.get(process)?.get(keyOf(replica))?.view,
    committed: (replica) => committed.get(keyOf(replica))?.offset ?? 0n,
    forget: (process) => lives.delete(process),
    checkTogether() {
      judgeSuspects();
      for (const [process, own] of lives) {
        for (const [key, seen] of own) {
          checkMember(key, process, seen);
          checkMaximalIsr(key, process, seen);
        }
      }
    },
  };
}

/** Whether an unclean election may take committed records away, or a power cut those that nobody flushed (P2). */
export function mayLose(image: MetadataImage, { topicId }: ReplicaId): boolean {
  const settings = findTopicById(image, topicId)?.settings;
  return settings?.get("unclean.leader.election.enable") === "true" || settings?.get("flush") === "async";
}

function keyOf({ topicId, partition }: ReplicaId): string {
  return `${topicId}-${partition}`;
}

/**
 * Whether a log reaches as far as what was committed, and ends that in the same leader epoch. An epoch has one leader,
 * whose log it is, so that what agrees in its last epoch agrees below.
 *
 * What is committed while a process lives counted its flushes. Of what was committed before, it has less flushed than its
 * disk holds until that was written anew (L4): there the log end counts.
 */
function holds({ view, committedBefore }: Seen, { offset, leaderEpochs }: Committed): boolean {
  if (view.logEnd < offset || (offset > committedBefore && view.flushed < offset)) return false;
  // A leader's own log, which nobody has to look through.
  if (view.leaderEpochs === leaderEpochs) return true;
  return offset <= view.logStart || epochBelow(view.leaderEpochs, offset) === epochBelow(leaderEpochs, offset);
}

/** The leader epoch of the last record below an offset. */
function epochBelow(leaderEpochs: PartitionView["leaderEpochs"], offset: bigint): number | undefined {
  for (let index = leaderEpochs.length - 1; index >= 0; index--) {
    const { startOffset, leaderEpoch } = leaderEpochs[index] ?? {};
    if (startOffset !== undefined && startOffset < offset) return leaderEpoch;
  }
  return undefined;
}

/** All that comes and goes with the partition epoch: min ISR follows the settings of the topic. */
function describeState({ replicas, isr, elr, leader, leaderEpoch, recovering }: PartitionStateView): string {
  const list = (brokers: readonly number[]) => `[${[...brokers].sort((a, b) => a - b).join(",")}]`;
  const recovers = recovering ? ", recovering" : "";
  return `leader ${leader ?? "none"} in leader epoch ${leaderEpoch}${recovers}, replicas ${list(replicas)}, ISR ${list(isr)}, ELR ${list(elr)}`;
}

function describeView({ role, brokerEpoch, state, logEnd, flushed, highWatermark, leadership }: PartitionView): string {
  const leads = leadership === undefined ? "" : ` ${describeLeadership(leadership)}`;
  return (
    `is ${role}${leads} in leader epoch ${state?.leaderEpoch ?? "none"}, partition epoch ${state?.partitionEpoch ?? "none"}, ` +
    `broker epoch ${brokerEpoch}: log end ${logEnd}, flushed ${flushed}, high watermark ${highWatermark}`
  );
}

function describeLeadership(leadership: NonNullable<PartitionView["leadership"]>): string {
  const { maximalIsr, settled, fencedItself, proposal, pendingAcks } = leadership;
  return [
    `with maximal ISR ${maximalIsr.join(",")}`,
    ...(settled ? [] : ["not settled"]),
    ...(fencedItself ? ["fenced by itself"] : []),
    ...(proposal === undefined ? [] : ["with an open proposal"]),
    ...(pendingAcks > 0 ? [`with ${pendingAcks} acks pending`] : []),
  ].join(", ");
}
