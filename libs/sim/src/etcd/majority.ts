import { pick, type Random } from "@tidemark/runtime";
import type { SimNode } from "../cluster/node.ts";
import type { Engine } from "../engine/engine.ts";
import type { SimProcess } from "../engine/sim-process.ts";
import type { Links } from "../network/links.ts";

/** Who leads etcd, and who reaches whom, as machines and network stand now. Members by their number, from 1 on. */
export interface Majority {
  /** Undefined while nobody leads. */
  readonly leader: number | undefined;
  /** Somebody leads, and reaches a majority. */
  isLed(): boolean;
  /** The leader runs and reaches a majority, and the member runs and reaches the leader. */
  serves(member: number): boolean;
  /** How long a call takes from the member by way of a majority, in milliseconds. */
  roundMs(member: number): number;
  /** How long what the leader commits takes to the member, in milliseconds. */
  spreadMs(member: number): number;
  /** Runs as soon as somebody leads and reaches a majority. */
  whenLed(task: () => void): void;
}

/** How often members look at each other, in milliseconds. */
const lookMs = 50;
/** For how long a leader has to be missed before there is another one, in milliseconds, at the least and at the most. */
const electionMs = [1000, 1500] as const;

/**
 * Elects a leader where none reaches a majority for an election timeout. `onLeader` is told of each; `onLook` is called
 * from time to time for every member with for how long, in milliseconds, it has reached no leader.
 */
export function startMajority(
  world: { readonly engine: Engine; readonly links: Links; readonly random: Random },
  members: readonly SimNode[],
  on: {
    readonly leader: (member: number | undefined) => void;
    readonly look: (member: number, aloneMs: number) => void;
  },
): Majority {
  const { engine, links, random } = world;
  const numbers = members.map((_, at) => at + 1);
  const aloneSinceMs = new Map<number, number>();
  let leader: number | undefined;
  /** A leader that was started again leads nobody, however soon, until it is elected anew. */
  let elected: SimProcess | undefined;
  let missedSinceMs = Number.NEGATIVE_INFINITY;
  let patienceMs = 0;
  let waiting: (() => void)[] = [];

  const node = (member: number): SimNode => {
    const found = members[member - 1];
    if (found === undefined) throw new Error(`There is no member ${member}`);
    return found;
  };
  const runs = (member: number) => {
    const { process, service } = node(member);
    return process !== undefined && !process.isPaused && service !== undefined;
  };
  const reach = (one: number, other: number) => {
    if (one === other) return true;
    const [from, to] = [node(one).host.name, node(other).host.name];
    return !links.isCut(from, to) && !links.isCut(to, from);
  };
  const leads = (member: number) =>
    runs(member) && numbers.filter((other) => runs(other) && reach(member, other)).length > members.length / 2;
  const isLed = () => leader !== undefined && node(leader).process === elected && leads(leader);
  const serves = (member: number) => leader !== undefined && isLed() && runs(member) && reach(member, leader);
  const wayMs = (one: number, other: number) =>
    one === other ? 0 : links.delayMs(node(one).host.name, node(other).host.name);

  const elect = () => {
    if (isLed()) {
      missedSinceMs = engine.nowMs;
      patienceMs = electionMs[0] + random.next() * (electionMs[1] - electionMs[0]);
      for (const task of waiting.splice(0)) task();
      return;
    }
    if (engine.nowMs - missedSinceMs < patienceMs) return;
    const next = pick(random, numbers.filter(leads));
    if (next === undefined && leader === undefined) return;
    leader = next;
    elected = next === undefined ? undefined : node(next).process;
    on.leader(next);
  };
  const look = () => {
    elect();
    for (const member of numbers) {
      // One that stands still misses nobody: when it goes on it takes the leader that it knew for the leader.
      if (serves(member) || !runs(member)) aloneSinceMs.set(member, engine.nowMs);
      on.look(member, engine.nowMs - (aloneSinceMs.get(member) ?? 0));
    }
    engine.after(lookMs, look);
  };
  look();

  return {
    get leader() {
      return leader;
    },
    isLed,
    serves,
    roundMs(member) {
      const from = leader ?? member;
      const [other = from] = numbers.filter((each) => each !== from);
      return wayMs(member, from) + wayMs(from, other) + wayMs(other, from) + wayMs(from, member);
    },
    spreadMs: (member) => wayMs(leader ?? member, member),
    whenLed(task) {
      waiting = [...waiting, task];
    },
  };
}
