import type { Revision } from "@tidemark/ids";
import { describe, expect } from "vitest";
import { type CreateReplicatedCluster, candidateNumbers, type ReplicatedCluster } from "../cluster.ts";
import { promise, put, type Scenario } from "../scenario.ts";
import type { Watched } from "../watched.ts";
import { stableLeader } from "./fencing.ts";
import { commitMany, withoutStoreKeys } from "./watch.ts";

export function describeLostMachines(create: CreateReplicatedCluster): void {
  describe("C8 durable, with a minority of disks lost", () => {
    promiseWith(create, "the others go on without the machine that led, and lose nothing", async (s, cluster) => {
      const all = await s.joinAll();
      const leader = await s.leaderOf(all);
      await commitMany(s, leader, 100);
      await readUpTo(s, leader.process, await leader.commit(put("/test/last", "1")));
      const before = lastingOf(leader.process);
      await cluster.loseMachine(leader.process.candidate);
      const others = all.filter((process) => process !== leader.process);
      const next = await s.leaderOf(others);
      expect(next.epoch).toBeGreaterThan(leader.epoch);
      await expectAll(s, others, before);
    });

    promiseWith(
      create,
      "machines are lost and replaced one behind the other, until none of the first is left",
      async (s, cluster) => {
        let expected = await committed(s);
        for (const lost of candidateNumbers) {
          await cluster.loseMachine(lost);
          const others = candidateNumbers.filter((candidate) => candidate !== lost);
          await cluster.powerCut();
          const rest: Watched[] = [];
          for (const candidate of others) rest.push(await s.join(candidate));
          await (await stableLeader(s, rest)).commit(put(`/test/lost/${lost}`, "1"));
          await cluster.replaceMachine(lost);
          const all = [...rest, await s.join(lost)];
          const leader = await stableLeader(s, all);
          await readUpTo(s, leader.process, await leader.commit(put(`/test/replaced/${lost}`, "1")));
          await s.agree(all);
          for (const [key, value] of expected) expect([key, leader.process.tree.get(key)]).toEqual([key, value]);
          expected = lastingOf(leader.process);
        }
        expect([...expected.keys()]).toEqual(
          expect.arrayContaining(candidateNumbers.flatMap((n) => [`/test/lost/${n}`, `/test/replaced/${n}`])),
        );
      },
    );
  });
}

/** What callers wrote for good: the helpers' own key changes with each leader. */
function lastingOf(process: Watched): ReadonlyMap<string, Uint8Array> {
  return new Map([...withoutStoreKeys(process)].filter(([key]) => key !== "/test/stable"));
}

type Body = (scenario: Scenario, cluster: ReplicatedCluster) => Promise<void>;

/** As `promise`, with what a cluster of three copies can besides. */
function promiseWith(create: CreateReplicatedCluster, name: string, body: Body): void {
  let cluster: ReplicatedCluster | undefined;
  promise(
    async () => {
      cluster = await create();
      return cluster;
    },
    name,
    async (s) => {
      if (cluster !== undefined) await body(s, cluster);
    },
  );
}

/** What a leader committed, as it is there then. */
async function committed(s: Scenario): Promise<ReadonlyMap<string, Uint8Array>> {
  const leader = await s.leaderOf(await s.joinAll());
  await commitMany(s, leader, 100);
  await readUpTo(s, leader.process, await leader.commit(put("/test/last", "1")));
  return lastingOf(leader.process);
}

/** An append may be answered before the watch of its caller was read. */
async function readUpTo(s: Scenario, process: Watched, revision: Revision): Promise<void> {
  await s.cluster.until(() => (process.revision() ?? 0n) >= revision, "what was committed is read");
}

/** The batches are there, the store takes more, and everybody has them. */
async function expectAll(
  s: Scenario,
  processes: readonly Watched[],
  before: ReadonlyMap<string, Uint8Array>,
): Promise<void> {
  const leader = await stableLeader(s, processes);
  await leader.commit(put("/test/after", "1"));
  await s.agree(processes);
  for (const { tree } of processes)
    for (const [key, value] of before) expect([key, tree.get(key)]).toEqual([key, value]);
}
