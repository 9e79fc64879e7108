import { describe, expect } from "vitest";
import type { ConsensusCluster } from "./cluster.ts";
import { stableLeader } from "./rows/fencing.ts";
import { commitMany } from "./rows/watch.ts";
import { promise, put, type Scenario } from "./scenario.ts";
import type { Watched } from "./watched.ts";

/** A cluster whose store is kept by three members, of which each has a disk. Candidates may be the members, or not. */
export interface MemberCluster extends ConsensusCluster {
  /** The member's process ends, and with it the candidate of that number where they are one; its disk is gone. */
  loseDisk(member: 1 | 2 | 3): Promise<void>;
  /** A member with an empty disk takes the place of one that lost its own. Resolves when it counts as any other. */
  replaceMember(member: 1 | 2 | 3): Promise<void>;
}

/**
 * The other half of C8, for stores that several members keep: the loss of a minority of disks. `createCluster` makes a
 * fresh store with three members and three candidates for each test.
 */
export function describeMinorityLoss(name: string, createCluster: () => Promise<MemberCluster>): void {
  const of = (s: Scenario) => s.cluster as MemberCluster;

  describe(`loss of a minority of disks: ${name}`, () => {
    promise(createCluster, "C8 every committed batch survives the loss of any one disk", async (s) => {
      const all = await s.joinAll();
      const leader = await s.leaderOf(all);
      await commitMany(s, leader, 100);
      await of(s).loseDisk(3);
      const others = all.slice(0, 2);
      const last = await (await stableLeader(s, others)).commit(put("/test/after", "1"));
      await s.cluster.until(() => others.every((process) => (process.revision() ?? 0n) >= last), "both have it");
      for (const process of others) {
        expect(process.text("/test/counter")).toBe("99");
        expect(process.text("/test/counters/0")).toBe("90");
      }
    });

    promise(createCluster, "C8 so does the loss of the disk that the leader writes to first", async (s) => {
      const all = await s.joinAll();
      const leader = await s.leaderOf(all);
      await commitMany(s, leader, 100);
      const last = await leader.commit(put("/test/last", "1"));
      await of(s).loseDisk(1);
      const others = all.slice(1);
      const next = await stableLeader(s, others);
      await s.cluster.until(() => (next.process.revision() ?? 0n) >= last, "the next leader has read everything");
      expect(next.process.text("/test/last")).toBe("1");
      expect(next.process.text("/test/counter")).toBe("99");
      expect(next.epoch).toBeGreaterThanOrEqual(leader.epoch);
    });

    promise(
      createCluster,
      "42 a member that lost its disk is replaced while the others run, and then counts",
      async (s) => {
        const all = await s.joinAll();
        const leader = await s.leaderOf(all);
        await commitMany(s, leader, 100);
        await of(s).loseDisk(3);
        const others = all.slice(0, 2);
        await (await stableLeader(s, others)).commit(put("/test/while", "away"));
        await s.settled(of(s).replaceMember(3), "the member is replaced");
        await of(s).loseDisk(2);
        await expectAllThere(s, others[0]);
      },
    );

    promise(createCluster, "C8 two losses with a power cut between them, each mended, lose nothing", async (s) => {
      const first = await s.joinAll();
      await commitMany(s, await s.leaderOf(first), 100);
      await (await s.leaderOf(first)).commit(put("/test/while", "away"));
      for (const member of [2, 3] as const) {
        await of(s).loseDisk(member);
        await s.settled(of(s).replaceMember(member), "the member is replaced");
      }
      await s.cluster.powerCut();
      await expectAllThere(s, await s.join(1));
    });
  });
}

async function expectAllThere(s: Scenario, process: Watched | undefined): Promise<void> {
  if (process === undefined) throw new Error("Nobody is left");
  const leader = await stableLeader(s, [process]);
  await leader.commit(put("/test/after", "1"));
  await s.cluster.until(() => process.text("/test/after") === "1", "everything is read");
  expect(process.text("/test/counter")).toBe("99");
  expect(process.text("/test/while")).toBe("away");
}
