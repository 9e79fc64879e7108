import type { ControllerEpoch, Revision } from "@tidemark/ids";
import { expect, it } from "vitest";
import { sameBytes, utf8 } from "../bytes.ts";
import type { AppendOutcome, Change, Leadership, WatchEvent } from "../consensus.ts";
import type { CandidateNumber, ConsensusCluster, CreateCluster } from "./cluster.ts";
import { type Watched, watchProcess } from "./watched.ts";

/** A cluster with its processes, for the length of one test. */
export interface Scenario {
  readonly cluster: ConsensusCluster;
  /** Starts a candidate and watches it, without joining. */
  start(candidate: CandidateNumber): Promise<Watched>;
  /** Starts a candidate, lets it join, and waits for the join. */
  join(candidate: CandidateNumber): Promise<Watched>;
  /** All three, the first of them leading. */
  joinAll(): Promise<readonly [Watched, Watched, Watched]>;
  /** Waits until one of them leads. */
  leaderOf(processes: readonly Watched[]): Promise<Leader>;
  /** The promise's value, while faults are noticed meanwhile. */
  settled<Value>(promise: Promise<Value>, what: string): Promise<Value>;
  /** Waits until each of them has read everything up to the newest revision that any of them has. */
  agree(processes: readonly Watched[]): Promise<void>;
}

export interface Leader {
  readonly process: Watched;
  readonly epoch: ControllerEpoch;
  readonly revision: Revision;
  append(...changes: readonly Change[]): Promise<AppendOutcome>;
  /** Appends and expects it to be committed. */
  commit(...changes: readonly Change[]): Promise<Revision>;
}

/**
 * A test of the contract: the promise that it shows, and the scenario. Whatever the scenario was, no epoch had two
 * leaders, no watch broke its rules, and no two watches differ in a revision (C1, C2, C3).
 */
export function promise(createCluster: CreateCluster, name: string, body: (scenario: Scenario) => Promise<void>): void {
  it(name, async () => {
    const cluster = await createCluster();
    const processes: Watched[] = [];
    try {
      await body(createScenario(cluster, processes));
      expect(processes.flatMap(({ violations }) => violations)).toEqual([]);
      expect(epochsWithTwoLeaders(processes)).toEqual([]);
      expect(revisionsThatDiffer(processes)).toEqual([]);
    } finally {
      for (const process of processes) process.stop();
      await cluster.close();
    }
  });
}

/** The next event of a watch that goes on. */
export async function nextEvent(s: Scenario, watch: AsyncIterator<WatchEvent>): Promise<WatchEvent> {
  const result = await s.settled(watch.next(), "the watch goes on");
  if (result.done === true) throw new Error("The watch ended");
  return result.value;
}

export function put(key: string, value: string): Change {
  return { kind: "put", key, value: utf8(value) };
}

export function remove(key: string): Change {
  return { kind: "delete", key };
}

function createScenario(cluster: ConsensusCluster, processes: Watched[]): Scenario {
  const scenario: Scenario = {
    cluster,
    async start(candidate) {
      const process = watchProcess(candidate, await cluster.start(candidate));
      processes.push(process);
      return process;
    },
    async join(candidate) {
      const process = await scenario.start(candidate);
      await scenario.settled(process.consensus.join(cluster.identity(candidate)), `candidate ${candidate} joins`);
      return process;
    },
    async joinAll() {
      const first = await scenario.join(1);
      await scenario.leaderOf([first]);
      const others = [await scenario.join(2), await scenario.join(3)] as const;
      await cluster.until(
        () =>
          others.every((other) => other.belief().kind === "following") &&
          ["/controllers/2", "/controllers/3"].every((key) => first.tree.has(key)),
        "the other candidates follow the first, and it has seen them",
      );
      return [first, ...others];
    },
    async leaderOf(among) {
      const leads = () => among.find((process) => process.belief().kind === "leading");
      await cluster.until(() => leads() !== undefined, `one of ${names(among)} leads`);
      const process = leads();
      if (process === undefined) throw new Error("The leader was lost again");
      return leaderFrom(process, process.belief(), scenario);
    },
    async settled(promise, what) {
      let isSettled = false;
      const settle = () => {
        isSettled = true;
      };
      promise.then(settle, settle);
      await cluster.until(() => isSettled, what);
      return promise;
    },
    async agree(among) {
      const newest = () => among.reduce((most, process) => max(most, process.revision() ?? 0n), 0n);
      const behind = () => among.filter((process) => (process.revision() ?? -1n) < newest());
      await cluster.until(() => behind().length === 0, `${names(among)} have read the same revision`);
    },
  };
  return scenario;
}

function leaderFrom(process: Watched, belief: Leadership, scenario: Scenario): Leader {
  if (belief.kind !== "leading") throw new Error(`Candidate ${process.candidate} does not lead`);
  const { epoch, revision } = belief;
  const append = (...changes: readonly Change[]) =>
    scenario.settled(process.consensus.append(epoch, changes), `an append of candidate ${process.candidate} settles`);
  return {
    process,
    epoch,
    revision,
    append,
    async commit(...changes) {
      const outcome = await append(...changes);
      if (outcome.kind !== "committed") throw new Error(`Not committed: ${JSON.stringify(outcome)}`);
      return outcome.revision;
    },
  };
}

function epochsWithTwoLeaders(processes: readonly Watched[]): readonly string[] {
  const leaders = new Map<ControllerEpoch, Watched>();
  const faults: string[] = [];
  for (const process of processes) {
    let last: ControllerEpoch | undefined;
    for (const belief of process.beliefs) {
      if (belief.kind !== "leading") continue;
      const other = leaders.get(belief.epoch);
      if (other !== undefined && other !== process) {
        faults.push(`epoch ${belief.epoch}: ${names([other, process])}`);
      }
      if (last !== undefined && belief.epoch <= last) faults.push(`epoch ${belief.epoch} after ${last}`);
      leaders.set(belief.epoch, process);
      last = belief.epoch;
    }
  }
  return faults;
}

function revisionsThatDiffer(processes: readonly Watched[]): readonly Revision[] {
  const batches = new Map<Revision, readonly Change[]>();
  const differing = new Set<Revision>();
  for (const process of processes) {
    for (const [revision, changes] of process.batches) {
      const other = batches.get(revision);
      if (other !== undefined && !sameChanges(other, changes)) differing.add(revision);
      batches.set(revision, changes);
    }
  }
  return [...differing];
}

function sameChanges(left: readonly Change[], right: readonly Change[]): boolean {
  const valueOf = (change: Change | undefined) => (change?.kind === "put" ? change.value : undefined);
  const byKey = new Map(right.map((change) => [change.key, change]));
  return (
    left.length === right.length &&
    left.every((change) => {
      const other = byKey.get(change.key);
      return other?.kind === change.kind && sameBytes(valueOf(change), valueOf(other));
    })
  );
}

function names(processes: readonly Watched[]): string {
  return `candidate ${processes.map(({ candidate }) => candidate).join(", ")}`;
}

function max(left: bigint, right: bigint): bigint {
  return left > right ? left : right;
}
