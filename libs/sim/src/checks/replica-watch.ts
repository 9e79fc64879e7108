import type { BrokerExperiment } from "@tidemark/broker";
import { findPartition, type MetadataImage, type Partition } from "@tidemark/metadata";
import { checkProgress, checkReplica, type PartitionView } from "@tidemark/replication";
import type { Violations } from "./violations.ts";

type ReplicaId = Parameters<NonNullable<BrokerExperiment["onStep"]>>[0];

/**
 * Looks into the machines of all replicas, after each of their steps:
 *
 * - what each replica knows agrees with itself, and only moves as it may while its process lives;
 * - a leader epoch is led by one broker (P14);
 * - everything below the highest high watermark that any leader had is on every member of ISR and ELR whose session
 *   lives (P1).
 */
export interface ReplicaWatch {
  /** What a process of a broker tells of its replicas. `process`: unlike that of any other life of a broker. */
  observe(process: string, broker: number): NonNullable<BrokerExperiment["onStep"]>;
  /** The process has ended. */
  forget(process: string): void;
  /** The replicas as they stood last, a line each. */
  describe(): string;
  /** Checks what spans several brokers, against the metadata. */
  checkTogether(image: MetadataImage): void;
}

interface Seen {
  readonly broker: number;
  readonly replica: ReplicaId;
  view: PartitionView;
}

export function createReplicaWatch({ report }: Violations): ReplicaWatch {
  const lives = new Map<string, Map<string, Seen>>();
  const leaders = new Map<string, number>();
  /** By partition: first offset behind all that any leader called committed. */
  const committed = new Map<string, bigint>();

  const checkLeader = (key: string, broker: number, view: PartitionView) => {
    const { leadership, highWatermark } = view;
    if (leadership === undefined) return;
    const of = `${key} leader epoch ${leadership.leaderEpoch}`;
    const known = leaders.get(of);
    if (known === undefined) leaders.set(of, broker);
    else if (known !== broker) report("a leader epoch is led by two brokers", `${of}: ${known} and ${broker}`);
    if (highWatermark > (committed.get(key) ?? 0n)) committed.set(key, highWatermark);
  };
  const checkMember = (key: string, { broker, view }: Seen, partition: Partition) => {
    const needed = committed.get(key) ?? 0n;
    // After a start flushed is less than what is on disk until it was written anew (L4).
    if (view.role === "offline" || view.logEnd >= needed) return;
    const { leader, leaderEpoch, partitionEpoch, isr, elr } = partition;
    const replicas = [...lives].flatMap(([process, own]) => {
      const seen = own.get(key);
      return seen === undefined ? [] : [`${process} ${describeView(seen.view)}`];
    });
    report(
      "a member of ISR or ELR lacks committed records",
      `${key} on broker ${broker}: log end ${view.logEnd}, committed ${needed}; leader ${leader ?? "none"} in leader ` +
        `epoch ${leaderEpoch}, partition epoch ${partitionEpoch}, ISR ${isr.join(",")}, ELR ${elr.join(",")}; ` +
        replicas.join("; "),
    );
  };

  return {
    observe(process, broker) {
      const own = new Map<string, Seen>();
      lives.set(process, own);
      return (replica, takeView) => {
        const key = `${replica.topicId}-${replica.partition}`;
        const view = takeView();
        const before = own.get(key);
        const where = `${key} on ${process}`;
        for (const text of checkReplica(view)) report("a replica contradicts itself", `${where}: ${text}`);
        if (before !== undefined) {
          for (const text of checkProgress(before.view, view)) report("a replica went back", `${where}: ${text}`);
        }
        checkLeader(key, broker, view);
        if (before === undefined) own.set(key, { broker, replica, view });
        else before.view = view;
      };
    },
    describe: () =>
      [...lives]
        .flatMap(([process, own]) => [...own].map(([key, { view }]) => `  ${key} on ${process} ${describeView(view)}`))
        .join("\n"),
    forget: (process) => lives.delete(process),
    checkTogether(image) {
      for (const own of lives.values()) {
        for (const [key, seen] of own) {
          const { replica, view } = seen;
          const partition = findPartition(image, replica.topicId, replica.partition);
          const session = [...image.sessions.values()].find(({ brokerId }) => brokerId === seen.broker);
          if (partition === undefined || session === undefined || session.brokerEpoch !== view.brokerEpoch) continue;
          const members: readonly number[] = [...partition.isr, ...partition.elr];
          if (members.includes(seen.broker)) checkMember(key, seen, partition);
        }
      }
    },
  };
}

function describeView({ role, brokerEpoch, state, logEnd, flushed, highWatermark, leadership }: PartitionView): string {
  const leads = leadership === undefined ? "" : ` leads with maximal ISR ${leadership.maximalIsr.join(",")}`;
  return (
    `is ${role}${leads} in leader epoch ${state?.leaderEpoch ?? "none"}, broker epoch ${brokerEpoch}: ` +
    `log end ${logEnd}, flushed ${flushed}, high watermark ${highWatermark}`
  );
}
