/**
 * The active controller of one partition, by the rules R4, R6, R10, R13, D2, D8 and D9: a model for the scripts and the
 * random walk. Each change is committed at once and handed to `onChange`.
 */
import type { BrokerEpoch, BrokerId, ControllerEpoch, LeaderEpoch, PartitionEpoch } from "@tidemark/ids";
import type { AlterPartitionAnswer } from "../controller-messages.ts";
import { type IsrProposal, type PartitionState, type ProposedMember, sameMembers } from "../partition-state.ts";

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
  /** `above`: the leader epoch rises above it too. */
  electUnclean(broker: BrokerId, above?: LeaderEpoch): void;
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

interface Model {
  readonly options: ControllerOptions;
  readonly sessions: Map<BrokerId, Session>;
  readonly registrations: Map<BrokerId, number>;
  /** The disk that each replica is on, by the metadata. */
  readonly disks: Map<BrokerId, DiskNumber>;
  state: PartitionState;
  epoch: number;
  /** The next proposal is dropped. */
  drops: boolean;
}

export function createSimulatedController(options: ControllerOptions): SimulatedController {
  const model: Model = {
    options,
    sessions: new Map(),
    registrations: new Map(),
    disks: new Map(),
    state: options.state,
    epoch: 1,
    drops: false,
  };
  return {
    state: () => model.state,
    epoch: () => model.epoch as ControllerEpoch,
    session: (broker) => model.sessions.get(broker),
    holdsDisk: (broker, disk) => model.disks.get(broker) === disk,
    admit: (broker, disk) => {
      model.disks.set(broker, disk);
      return openSession(model, broker, disk);
    },
    register: (broker, disk) => register(model, broker, disk),
    endSessions: (brokers) => {
      for (const broker of brokers) model.sessions.delete(broker);
      leaveIsr(model, brokers);
    },
    setFenced: (broker, fenced) => {
      const session = model.sessions.get(broker);
      if (session !== undefined) session.fenced = fenced;
      if (fenced) leaveIsr(model, [broker]);
      else electIfLeaderless(model);
    },
    setStopping: (broker) => {
      const session = model.sessions.get(broker);
      if (session !== undefined) session.stopping = true;
    },
    dropNext: () => {
      model.drops = true;
    },
    alter: (proposal) => alter(model, proposal),
    setMinIsr: (minIsr) => {
      commit(model, { minIsr });
    },
    moveLeader: (broker) => {
      const { state } = model;
      if (state.leader === broker || !state.isr.includes(broker) || !isLive(model, broker)) return false;
      commit(model, { leader: broker, leaderEpoch: nextEpoch(model) });
      tellElection(model);
      return true;
    },
    electUnclean: (broker, above) => {
      const leaderEpoch = Math.max(nextEpoch(model), (above ?? -1) + 1) as LeaderEpoch;
      commit(model, { leader: broker, isr: [broker], leaderEpoch, recovering: true });
      options.onEvent(`elects ${broker} uncleanly leader-epoch=${model.state.leaderEpoch}`);
    },
    restart: () => {
      model.epoch++;
    },
  };
}

/** R13: who held everything and stands in the ISR no longer stays eligible, while the ISR is below min ISR. */
function commit(model: Model, change: Partial<PartitionState>): void {
  const { state } = model;
  const isr = change.isr ?? state.isr;
  const minIsr = change.minIsr ?? state.minIsr;
  const elr = isr.length < minIsr ? holders(state).filter((member) => !isr.includes(member)) : [];
  const partitionEpoch = (state.partitionEpoch + 1) as PartitionEpoch;
  model.state = { ...state, ...change, isr, minIsr, elr, partitionEpoch };
  model.options.onChange(model.state);
}

function holders({ isr, elr }: PartitionState): readonly BrokerId[] {
  return [...isr, ...elr.filter((member) => !isr.includes(member))];
}

function isLive(model: Model, broker: BrokerId): boolean {
  const session = model.sessions.get(broker);
  if (session === undefined || session.fenced || session.stopping) return false;
  return model.disks.get(broker) === session.disk;
}

function nextEpoch({ state }: Model): LeaderEpoch {
  return (state.leaderEpoch + 1) as LeaderEpoch;
}

function openSession(model: Model, broker: BrokerId, disk: DiskNumber): BrokerEpoch {
  const brokerEpoch = ((model.registrations.get(broker) ?? 0) + 1) as BrokerEpoch;
  model.registrations.set(broker, brokerEpoch);
  model.sessions.set(broker, { brokerEpoch, disk, fenced: false, stopping: false });
  return brokerEpoch;
}

function register(model: Model, broker: BrokerId, disk: DiskNumber): BrokerEpoch {
  const { state } = model;
  model.sessions.delete(broker);
  const known = model.disks.get(broker) ?? disk;
  model.disks.set(broker, known);
  const staying = known === disk ? state.isr : state.isr.filter((member) => member !== broker);
  const eligible = (one: BrokerId) => (one === broker ? known === disk : isLive(model, one));
  if (state.leader === broker) elect(model, staying, eligible);
  else if (staying.length < state.isr.length) commit(model, { isr: staying });
  const brokerEpoch = openSession(model, broker, disk);
  electIfLeaderless(model);
  return brokerEpoch;
}

function leaveIsr(model: Model, leaving: readonly BrokerId[]): void {
  const { isr, leader } = model.state;
  const staying = isr.filter((member) => !leaving.includes(member));
  if (leader !== undefined && leaving.includes(leader)) elect(model, staying, (one) => isLive(model, one));
  else if (staying.length < isr.length) commit(model, { isr: staying });
}

/** D2: a live ISR member, else a live ELR member, else nobody. */
function elect(model: Model, staying: readonly BrokerId[], eligible: (broker: BrokerId) => boolean): void {
  const inSync = staying.filter(eligible);
  const held = holders(model.state).filter((member) => !staying.includes(member));
  const candidates = inSync.length > 0 ? inSync : held.filter(eligible);
  const leader = candidates[model.options.choose(candidates.length)];
  const isr = leader === undefined ? [] : inSync.length > 0 ? staying : [leader];
  commit(model, { leader, isr, leaderEpoch: nextEpoch(model), recovering: false });
  tellElection(model);
}

function electIfLeaderless(model: Model): void {
  const { leader, elr } = model.state;
  const eligible = (one: BrokerId) => isLive(model, one);
  if (leader === undefined && elr.some(eligible)) elect(model, [], eligible);
}

function tellElection({ state, options }: Model): void {
  const { leader, leaderEpoch, isr, elr } = state;
  options.onEvent(
    leader === undefined
      ? `nobody to elect leader-epoch=${leaderEpoch} elr (${elr.join(",")})`
      : `elects ${leader} leader-epoch=${leaderEpoch} isr (${isr.join(",")})`,
  );
}

function alter(model: Model, proposal: IsrProposal): AlterPartitionAnswer {
  const { options, sessions, state } = model;
  const controllerEpoch = model.epoch as ControllerEpoch;
  if (model.drops) {
    model.drops = false;
    options.onEvent("drops isr change: NOT_ATTEMPTED");
    return { kind: "NOT_ATTEMPTED", controllerEpoch };
  }
  const compared = compareEpochs(model, proposal);
  if (compared !== undefined) return compared;
  const entering = proposal.isr.filter((member) => !state.isr.includes(member.replica));
  const replicas = entering.filter((member) => !mayEnter(model, member)).map((member) => member.replica);
  if (replicas.length > 0) {
    options.onEvent(`refuses isr change: INELIGIBLE_REPLICA (${replicas.join(",")})`);
    return { kind: "INELIGIBLE_REPLICA", controllerEpoch, replicas };
  }
  for (const { replica } of entering) model.disks.set(replica, sessions.get(replica)?.disk ?? 0);
  commit(model, { isr: proposal.isr.map((member) => member.replica), recovering: proposal.recovering });
  options.onEvent(`isr (${model.state.isr.join(",")}) partition-epoch=${model.state.partitionEpoch}`);
  return { kind: "applied", controllerEpoch, state: model.state };
}

/** R10: with the broker epoch of its session now, not fenced, not stopping. */
function mayEnter(model: Model, member: ProposedMember): boolean {
  const session = model.sessions.get(member.replica);
  if (session === undefined || session.fenced || session.stopping) return false;
  return session.brokerEpoch === member.brokerEpoch;
}

/** R6: epochs before eligibility; a repeat of what was applied last is success. */
function compareEpochs(model: Model, proposal: IsrProposal): AlterPartitionAnswer | undefined {
  const { state, options } = model;
  const controllerEpoch = model.epoch as ControllerEpoch;
  if (proposal.leaderEpoch !== state.leaderEpoch) {
    options.onEvent("refuses isr change: LEADER_EPOCH_MISMATCH");
    return { kind: "LEADER_EPOCH_MISMATCH", controllerEpoch };
  }
  const members = proposal.isr.map((member) => member.replica);
  if (proposal.partitionEpoch === state.partitionEpoch - 1 && sameMembers(members, state.isr)) {
    options.onEvent(`repeat of partition-epoch=${state.partitionEpoch}, answered as success`);
    return { kind: "applied", controllerEpoch, state };
  }
  if (proposal.partitionEpoch === state.partitionEpoch) return undefined;
  options.onEvent("refuses isr change: PARTITION_EPOCH_MISMATCH");
  return { kind: "PARTITION_EPOCH_MISMATCH", controllerEpoch };
}
