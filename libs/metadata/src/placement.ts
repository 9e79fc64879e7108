/**
 * Where the replicas of new partitions go (D1). Within the topic every broker gets as many replicas as any other, give
 * or take one, and leads as many; the replicas of a partition spread over as many racks as there are. Where that leaves
 * a choice, the broker with the least of the whole cluster takes it, and then chance.
 *
 * Racks come first: where they have unequal numbers of brokers, a broker of a small rack holds more.
 */
import type { BrokerId, DirectoryId } from "@tidemark/ids";
import type { Draw } from "./decision.ts";
import type { BrokerSession, Partition, Replica } from "./model.ts";

export interface PlacementRequest {
  /** Count of new partitions, from 1. */
  readonly partitions: number;
  /** 1 to the number of brokers. */
  readonly replicationFactor: number;
  /** Brokers to choose from. */
  readonly brokers: readonly BrokerSession[];
  /** Partitions that the topic has already. */
  readonly ownPartitions: Iterable<Partition>;
  /** Every partition of the cluster. */
  readonly allPartitions: Iterable<Partition>;
  readonly draw: Draw;
}

/** Brokers that share a rack. */
interface Rack {
  brokers: number;
  /** Of the topic. */
  replicas: number;
}

/** What a broker has, of the topic and of the cluster. */
interface Load {
  readonly broker: BrokerSession;
  readonly rack: Rack;
  replicas: number;
  leaders: number;
  clusterReplicas: number;
  readonly directories: Map<DirectoryId, number>;
}

/** The replicas of each new partition; the first of them is the preferred leader. */
export function placePartitions(request: PlacementRequest): readonly (readonly Replica[])[] {
  const loads = countLoads(request);
  const sets: Load[][] = [];
  for (let index = 0; index < request.partitions; index++) {
    const chosen: Load[] = [];
    while (chosen.length < request.replicationFactor) chosen.push(chooseReplica(loads, chosen, request.draw));
    for (const load of chosen) addReplica(load);
    sets.push(chosen);
  }
  return chooseLeaders(sets, loads, request.draw).map((set) => set.map(placeInDirectory));
}

function countLoads(request: PlacementRequest): readonly Load[] {
  const racks = new Map<string, Rack>();
  const loads = request.brokers.map(
    (broker): Load => ({
      broker,
      rack: rackOf(broker, racks),
      replicas: 0,
      leaders: 0,
      clusterReplicas: 0,
      directories: new Map(broker.directoryIds.map((id) => [id, 0])),
    }),
  );
  const byBroker = new Map<BrokerId, Load>(loads.map((load) => [load.broker.brokerId, load]));
  for (const { replicas } of request.ownPartitions) {
    for (const [rank, replica] of replicas.entries()) {
      const load = byBroker.get(replica.brokerId);
      if (load === undefined) continue;
      addReplica(load);
      if (rank === 0) load.leaders += 1;
    }
  }
  for (const { replicas } of request.allPartitions) {
    for (const { brokerId, directoryId } of replicas) {
      const load = byBroker.get(brokerId);
      if (load === undefined) continue;
      load.clusterReplicas += 1;
      if (directoryId !== undefined) addTo(load.directories, directoryId, 1);
    }
  }
  return loads;
}

/** The next replica of a partition: another rack before another broker, the least loaded before the others. */
function chooseReplica(loads: readonly Load[], chosen: readonly Load[], draw: Draw): Load {
  const inRack = (rack: Rack) => chosen.filter((load) => load.rack === rack).length;
  const free = loads.filter((load) => !chosen.includes(load));
  return least(free, [(load) => inRack(load.rack), (load) => load.replicas, rackLoad, clusterLoad], draw);
}

/** Replicas of the topic per broker in the rack. */
function rackLoad({ rack }: Load): number {
  return rack.replicas / rack.brokers;
}

/** A broker whose rack is not known is taken to stand alone. */
function rackOf(broker: BrokerSession, racks: Map<string, Rack>): Rack {
  const name = broker.rack === "" ? `broker ${broker.brokerId}` : `rack ${broker.rack}`;
  const rack = racks.get(name) ?? { brokers: 0, replicas: 0 };
  racks.set(name, rack);
  rack.brokers += 1;
  return rack;
}

function addReplica(load: Load): void {
  load.replicas += 1;
  load.rack.replicas += 1;
}

function clusterLoad(load: Load): number {
  return load.clusterReplicas + load.replicas;
}

/**
 * Chooses the leader of each set, then evens out: while a broker leads two more than another, leaderships move along a
 * chain of sets that the brokers share. The chain is found whenever one exists.
 */
function chooseLeaders(sets: readonly Load[][], loads: readonly Load[], draw: Draw): readonly (readonly Load[])[] {
  const leaders = sets.map((set) => {
    const leader = least(set, [(load) => load.leaders, clusterLoad], draw);
    leader.leaders += 1;
    return leader;
  });
  while (shiftLeadership(sets, leaders, loads)) {
    // Each turn takes one leadership from a broker that has too many.
  }
  return sets.map((set, index) => {
    const leader = leaders[index];
    return set.toSorted((a, b) => Number(b === leader) - Number(a === leader));
  });
}

/** Moves one leadership from a broker to one that leads at least two fewer. False where no chain of sets allows it. */
function shiftLeadership(sets: readonly Load[][], leaders: Load[], loads: readonly Load[]): boolean {
  const fewest = Math.min(...loads.map((load) => load.leaders));
  for (const from of loads) {
    if (from.leaders < fewest + 2) continue;
    const path = findPath(sets, leaders, from);
    const last = path.at(-1);
    if (last === undefined) continue;
    from.leaders -= 1;
    last.to.leaders += 1;
    for (const { set, to } of path) leaders[set] = to;
    return true;
  }
  return false;
}

interface Handover {
  readonly set: number;
  readonly to: Load;
}

/** The shortest chain of handovers from a broker to one that leads at least two fewer. Empty where there is none. */
function findPath(sets: readonly Load[][], leaders: readonly Load[], from: Load): readonly Handover[] {
  const reached = new Map<Load, Handover | undefined>([[from, undefined]]);
  for (const load of reached.keys()) {
    for (const [set, members] of sets.entries()) {
      if (leaders[set] !== load) continue;
      for (const to of members) {
        if (reached.has(to)) continue;
        reached.set(to, { set, to });
        if (to.leaders <= from.leaders - 2) return pathTo(to, reached, leaders);
      }
    }
  }
  return [];
}

function pathTo(
  end: Load,
  reached: ReadonlyMap<Load, Handover | undefined>,
  leaders: readonly Load[],
): readonly Handover[] {
  const path: Handover[] = [];
  for (let step = reached.get(end); step !== undefined; ) {
    path.unshift(step);
    const giver = leaders[step.set];
    step = giver === undefined ? undefined : reached.get(giver);
  }
  return path;
}

/** The replica on this broker, in the directory that has the fewest. */
function placeInDirectory(load: Load): Replica {
  let directoryId: DirectoryId | undefined;
  for (const [id, count] of load.directories) {
    if (directoryId === undefined || count < (load.directories.get(directoryId) ?? 0)) directoryId = id;
  }
  if (directoryId !== undefined) addTo(load.directories, directoryId, 1);
  return { brokerId: load.broker.brokerId, directoryId };
}

/** One of the items that are least by the first measure, among them by the second, and so on; then by chance. */
function least<Item>(items: readonly Item[], measures: readonly ((item: Item) => number)[], draw: Draw): Item {
  let rest = items;
  for (const measure of measures) {
    const values = rest.map(measure);
    const lowest = Math.min(...values);
    rest = rest.filter((_, index) => values[index] === lowest);
  }
  const item = rest[rest.length > 1 ? draw(rest.length) : 0];
  if (item === undefined) throw new RangeError("There are fewer brokers than replicas");
  return item;
}

function addTo<Key>(counts: Map<Key, number>, key: Key, count: number): void {
  counts.set(key, (counts.get(key) ?? 0) + count);
}
