/** What the backend takes for granted of an etcd of three members, of which some are killed, stand still or are alone. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type EtcdStubs, noLease } from "../../stubs.ts";
import { leasesBeginAnew } from "./leases-begin-anew.ts";
import { type BehindTools, toolsFor } from "./tools.ts";

/** Three members for one test. They are named by their number, from 1 on; all of them serve. */
export interface MembersBehind extends Pick<BehindTools, "prefix" | "ttlSecondsMin" | "until"> {
  connect(member: number): EtcdStubs;
  /** Who leads etcd. */
  leader(): Promise<number>;
  /** Waits for the answers no longer. Resolves when these calls have ended, with or without one. */
  giveUp(stubs: EtcdStubs, calls: readonly Promise<unknown>[]): Promise<void>;
  /** SIGSTOP: connections stand and nobody answers. */
  freeze(member: number): void;
  /** Resolves when it serves. */
  thaw(member: number): Promise<void>;
  /** It reaches no majority any more. */
  isolate(member: number): void;
  /** kill -9. Resolves when the others serve. */
  kill(member: number): Promise<void>;
  /** Ends the faults that last. */
  close(): Promise<void>;
}

export function describeEtcdMembersBehaviour(name: string, create: () => Promise<MembersBehind>): void {
  describe(`three members of etcd as the backend takes them for granted: ${name}`, () => {
    let etcd: MembersBehind;
    const connected: EtcdStubs[] = [];
    beforeEach(async () => {
      etcd = await create();
    });
    afterEach(async () => {
      for (const stubs of connected.splice(0)) stubs.close();
      await etcd.close();
    });
    const at = (member: number) => {
      const stubs = etcd.connect(member);
      connected.push(stubs);
      return toolsFor({ ...etcd, stubs });
    };
    const next = (member: number) => (member % 3) + 1;

    it("34b a transaction that was given up at a member that stands still may be carried out when that goes on", async () => {
      const leader = await etcd.leader();
      const [frozen, other] = [next(leader), next(next(leader))];
      const elsewhere = at(other);
      let late: readonly string[] = [];
      // A real one now and then hears first that the calls were given up.
      for (let round = 0; round < 5 && late.length === 0; round++) {
        const { stubs, range, key, value } = at(frozen);
        await range();
        etcd.freeze(frozen);
        const calls = Array.from({ length: 10 }, (_, n) => {
          const put = { kind: "put", key: key(`${round}/${n}`), value: value("1"), lease: noLease } as const;
          return stubs.txn({ compares: [], success: [put] });
        });
        const codes = Promise.all(calls.map((call) => elsewhere.codeOf(call)));
        await etcd.giveUp(stubs, calls);
        expect(new Set(await codes)).toEqual(new Set(["LOST"]));
        expect((await elsewhere.names()).filter((name) => name.startsWith(`${round}/`))).toEqual([]);
        await etcd.thaw(frozen);
        await at(frozen).range();
        late = await elsewhere.names();
      }
      expect(late).not.toEqual([]);
    });

    it("31 leases begin anew with the next leader, and last longer by it", async () => {
      const leader = await etcd.leader();
      await leasesBeginAnew(at(leader), async () => {
        await etcd.kill(leader);
        return at(next(leader));
      });
    });

    it("streams and calls end at a leader that is killed, and the others serve behind all that it committed", async () => {
      const leader = await etcd.leader();
      const killed = at(leader);
      const { revision } = await killed.put("a");
      const watch = killed.watch({ startRevision: revision + 1n });
      await etcd.until(() => watch.responses.length === 1, "it began");
      await etcd.kill(leader);
      await etcd.until(() => watch.ended.length === 1, "the watch ends");
      expect(watch.ended[0]?.code).toBe("LOST");
      expect(await killed.codeOf(killed.put("b"))).toBe("LOST");
      const other = at(next(leader));
      expect(await other.names()).toEqual(["a"]);
      const answer = await other.put("c");
      const behind = other.watch({ startRevision: revision + 1n });
      await etcd.until(() => behind.events().length === 1, "it is told");
      expect(behind.events()).toMatchObject([{ key: other.key("c"), modRevision: answer.revision }]);
      behind.stream.close();
    });

    it("33 streams and calls end at a member that is without a majority, instead of staying without news", async () => {
      const member = next(await etcd.leader());
      const alone = at(member);
      const { revision } = await alone.put("a");
      const { id } = await alone.settled(alone.stubs.leaseGrant(60));
      const watch = alone.watch({ startRevision: revision + 1n });
      const renewals = alone.keepAlive(id);
      renewals.stream.send();
      await etcd.until(() => watch.responses.length === 1 && renewals.answers.length === 1, "both began");
      etcd.isolate(member);
      await etcd.until(() => watch.ended.length === 1 && renewals.ended.length === 1, "both end");
      expect([...watch.ended, ...renewals.ended].map(({ code }) => code)).toEqual(["LOST", "LOST"]);
      expect(await alone.codeOf(alone.put("b"))).toBe("LOST");
    });
  });
}
