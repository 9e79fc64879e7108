/**
 * The active controller of one partition, by the rules R4, R6, R10, R13, D2, D8 and D9: a model for the scripts and the
 * random walk. Each change is committed at once and handed to `onChange`.
 */
import type { BrokerEpoch, BrokerId, ControllerEpoch, LeaderEpoch, PartitionEpoch } from "@tidemark/ids";
import type { AlterPartitionAnswer } from "../controller-messages.ts";
import { type IsrProposal, type PartitionState, sameMembers } from "../partition-state.ts";

/** Names a disk: a broker with another one under its id has lost what it had. */
export type DiskNumber = number;

interface Session {
  readonly brokerEpoch: BrokerEpoch;
  readonly disk: DiskNumber;
  fenced: boolean;
  stopping: boolean;
}

export interface SimulatedController {
  state(): PartitionState;
  epoch(): ControllerEpoch;
  session(broker: BrokerId): Readonly<Session> | undefined;
  /** True while the replica of `broker` is on the disk that the metadata records for it. */
  holdsDisk(broker: BrokerId, disk: DiskNumber): boolean;
  /** The first registration of a broker that the state names already: changes nothing. */
  admit(broker: BrokerId, disk: DiskNumber): BrokerEpoch;
  /** D8: raises the leader epoch where it led; another disk takes it out of the ISR. */
  register(broker: BrokerId, disk: DiskNumber): BrokerEpoch;
  /** D9: sessions found ended together are decided together. */
  endSessions(brokers: readonly BrokerId[]): void;
  setFenced(broker: BrokerId, fenced: boolean): void;
  setStopping(broker: BrokerId): void;
  alter(proposal: IsrProposal): AlterPartitionAnswer;
  /** The next proposal is dropped before any write, and answered so. */
  dropNext(): void;
  setMinIsr(minIsr: number): void;
  /** Moves leadership to a live ISR member. False when it is none. */
  moveLeader(broker: BrokerId): boolean;
  /** D2, by command: the live replica `broker` leads, whatever it lacks. */
  electUnclean(broker: BrokerId): void;
  /** A new controller takes over. */
  restart(): void;
}

export interface ControllerOptions {
  readonly state: PartitionState;
  readonly onChange: (state: PartitionState) => void;
  readonly onEvent: (text: string) => void;
  /** Index of the candidate to elect among `count`. */
  readonly choose: (count: number) => number;
}

export function createSimulatedController(options: ControllerOptions): SimulatedController {
  let state = options.state;
  let controllerEpoch = 1;
  let drops = false;
  const sessions = new Map<BrokerId, Session>();
  const registrations = new Map<BrokerId, number>();
  const disks = new Map<BrokerId, DiskNumber>();

  const commit = (change: Partial<PartitionState>) => {
    const before = state;
    const isr = change.isr ?? before.isr;
    const minIsr = change.minIsr ?? before.minIsr;
    // R13: who held everything and stands in the ISR no longer stays eligible, while the ISR is below min ISR.
    const held = [...before.isr, ...before.elr.filter((member) => !before.isr.includes(member))];
    const elr = isr.length < minIsr ? held.filter((member) => !isr.includes(member)) : [];
    state = { ...before, ...change, isr, minIsr, elr, partitionEpoch: (before.partitionEpoch + 1) as PartitionEpoch };
    options.onChange(state);
  };
  const isLive = (broker: BrokerId) => {
    const session = sessions.get(broker);
    return session !== undefined && !session.fenced && !session.stopping && disks.get(broker) === session.disk;
  };
  const nextEpoch = () => (state.leaderEpoch + 1) as LeaderEpoch;

  /** D2: a live ISR member, else a live ELR member, else nobody. */
  const elect = (staying: readonly BrokerId[], eligible: (broker: BrokerId) => boolean) => {
    const inSync = staying.filter(eligible);
    const held = [...state.isr, ...state.elr].filter((member) => !staying.includes(member));
    const candidates = inSync.length > 0 ? inSync : held.filter(eligible);
    const leader = candidates[options.choose(candidates.length)];
    const isr = leader === undefined ? [] : inSync.length > 0 ? staying : [leader];
    commit({ leader, isr, leaderEpoch: nextEpoch(), recovering: false });
    options.onEvent(
      leader === undefined
        ? `nobody to elect leader-epoch=${state.leaderEpoch} elr (${state.elr.join(",")})`
        : `elects ${leader} leader-epoch=${state.leaderEpoch} isr (${state.isr.join(",")})`,
    );
  };
  const electIfLeaderless = () => {
    if (state.leader === undefined && state.elr.some(isLive)) elect([], isLive);
  };

  return {
    state: () => state,
    epoch: () => controllerEpoch as ControllerEpoch,
    session: (broker) => sessions.get(broker),
    holdsDisk: (broker, disk) => disks.get(broker) === disk,
    admit(broker, disk) {
      const brokerEpoch = 1 as BrokerEpoch;
      registrations.set(broker, brokerEpoch);
      disks.set(broker, disk);
      sessions.set(broker, { brokerEpoch, disk, fenced: false, stopping: false });
      return brokerEpoch;
    },
    register(broker, disk) {
      const epoch = ((registrations.get(broker) ?? 0) + 1) as BrokerEpoch;
      registrations.set(broker, epoch);
      sessions.delete(broker);
      const known = disks.get(broker);
      if (known === undefined) disks.set(broker, disk);
      const sameDisk = known === undefined || known === disk;
      const staying = sameDisk ? state.isr : state.isr.filter((member) => member !== broker);
      const eligible = (candidate: BrokerId) => (candidate === broker ? sameDisk : isLive(candidate));
      if (state.leader === broker) elect(staying, eligible);
      else if (staying.length < state.isr.length) commit({ isr: staying });
      sessions.set(broker, { brokerEpoch: epoch, disk, fenced: false, stopping: false });
      electIfLeaderless();
      return epoch;
    },
    endSessions(brokers) {
      for (const broker of brokers) sessions.delete(broker);
      const staying = state.isr.filter((member) => !brokers.includes(member));
      if (state.leader !== undefined && brokers.includes(state.leader)) elect(staying, isLive);
      else if (staying.length < state.isr.length) commit({ isr: staying });
    },
    setFenced(broker, fenced) {
      const session = sessions.get(broker);
      if (session !== undefined) session.fenced = fenced;
      if (!fenced) {
        electIfLeaderless();
        return;
      }
      const staying = state.isr.filter((member) => member !== broker);
      if (state.leader === broker) elect(staying, isLive);
      else if (staying.length < state.isr.length) commit({ isr: staying });
    },
    setStopping(broker) {
      const session = sessions.get(broker);
      if (session !== undefined) session.stopping = true;
    },
    dropNext() {
      drops = true;
    },
    alter(proposal) {
      if (drops) {
        drops = false;
        options.onEvent("drops isr change: NOT_ATTEMPTED");
        return { kind: "NOT_ATTEMPTED", controllerEpoch: epochNow() };
      }
      const answer = compare(proposal);
      if (answer !== undefined) return answer;
      const ineligible = proposal.isr.filter((member) => {
        if (state.isr.includes(member.replica)) return false;
        const session = sessions.get(member.replica);
        return (
          session === undefined || session.fenced || session.stopping || session.brokerEpoch !== member.brokerEpoch
        );
      });
      if (ineligible.length > 0) {
        const replicas = ineligible.map((member) => member.replica);
        options.onEvent(`refuses isr change: INELIGIBLE_REPLICA (${replicas.join(",")})`);
        return { kind: "INELIGIBLE_REPLICA", controllerEpoch: epochNow(), replicas };
      }
      for (const { replica } of proposal.isr) {
        const session = sessions.get(replica);
        if (!state.isr.includes(replica) && session !== undefined) disks.set(replica, session.disk);
      }
      commit({ isr: proposal.isr.map((member) => member.replica), recovering: proposal.recovering });
      options.onEvent(`isr (${state.isr.join(",")}) partition-epoch=${state.partitionEpoch}`);
      return { kind: "applied", controllerEpoch: epochNow(), state };
    },
    setMinIsr: (minIsr) => {
      commit({ minIsr });
    },
    moveLeader(broker) {
      if (state.leader === broker || !state.isr.includes(broker) || !isLive(broker)) return false;
      commit({ leader: broker, leaderEpoch: nextEpoch() });
      options.onEvent(`elects ${broker} leader-epoch=${state.leaderEpoch} isr (${state.isr.join(",")})`);
      return true;
    },
    electUnclean(broker) {
      commit({ leader: broker, isr: [broker], leaderEpoch: nextEpoch(), recovering: true });
      options.onEvent(`elects ${broker} uncleanly leader-epoch=${state.leaderEpoch}`);
    },
    restart() {
      controllerEpoch++;
    },
  };

  function epochNow(): ControllerEpoch {
    return controllerEpoch as ControllerEpoch;
  }

  /** R6: epochs before eligibility; a repeat of what was applied last is success. */
  function compare(proposal: IsrProposal): AlterPartitionAnswer | undefined {
    if (proposal.leaderEpoch !== state.leaderEpoch) {
      options.onEvent("refuses isr change: LEADER_EPOCH_MISMATCH");
      return { kind: "LEADER_EPOCH_MISMATCH", controllerEpoch: epochNow() };
    }
    const members = proposal.isr.map((member) => member.replica);
    if (proposal.partitionEpoch === state.partitionEpoch - 1 && sameMembers(members, state.isr)) {
      options.onEvent(`repeat of partition-epoch=${state.partitionEpoch}, answered as success`);
      return { kind: "applied", controllerEpoch: epochNow(), state };
    }
    if (proposal.partitionEpoch === state.partitionEpoch) return undefined;
    options.onEvent("refuses isr change: PARTITION_EPOCH_MISMATCH");
    return { kind: "PARTITION_EPOCH_MISMATCH", controllerEpoch: epochNow() };
  }
}
