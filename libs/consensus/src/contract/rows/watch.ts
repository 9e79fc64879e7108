import { describe, expect } from "vitest";
import type { Consensus, WatchEvent } from "../../consensus.ts";
import { limits } from "../../limits.ts";
import type { CreateCluster } from "../cluster.ts";
import { type Leader, nextEvent, promise, put, remove, type Scenario } from "../scenario.ts";
import type { Watched } from "../watched.ts";

export function describeWatch(create: CreateCluster): void {
  describe("C2 watch", () => {
    promise(create, "a watch begins with a snapshot of all that was committed before", async (s) => {
      const leader = await s.leaderOf(await s.joinAll());
      const revision = await leader.commit(put("/test/a", "1"));
      const event = await firstEvent(s, leader.process.consensus);
      expect(event.kind).toBe("snapshot");
      expect(event.revision >= revision).toBe(true);
      expect(event.kind === "snapshot" && event.entries.has("/test/a")).toBe(true);
    });

    promise(create, "an early watch and a late one end with the same tree", async (s) => {
      const [first, second] = await s.joinAll();
      const leader = await s.leaderOf([first]);
      await commitMany(s, leader, 100);
      const late = await s.start(3).catch(() => second);
      await s.agree([first, second, late]);
      expect(late.tree).toEqual(first.tree);
      expect(second.tree).toEqual(first.tree);
    });

    promise(create, "two watches of one handle get the same batches, each by itself", async (s) => {
      const leader = await s.leaderOf(await s.joinAll());
      const stop = new AbortController();
      const seen = [collect(leader.process.consensus, stop.signal), collect(leader.process.consensus, stop.signal)];
      await s.cluster.until(() => seen.every(({ events }) => events.length > 0), "both have a snapshot");
      await commitMany(s, leader, 20);
      await s.cluster.until(() => seen.every(({ events }) => events.length === 21), "both have 20 batches");
      expect(seen[0]?.events).toEqual(seen[1]?.events);
      stop.abort();
      await s.settled(Promise.all(seen.map(({ done }) => done)), "both end");
    });

    promise(create, "28 nothing is missing or there twice behind a backlog of 3,000 revisions", async (s) => {
      const [first, , third] = await s.joinAll();
      const leader = await s.leaderOf([first]);
      s.cluster.cut(3);
      await commitMany(s, leader, 3_000);
      expect(third.text("/test/counter")).not.toBe("2999");
      s.cluster.heal(3);
      await s.agree([first, third]);
      expect(third.text("/test/counter")).toBe("2999");
      expect(withoutStoreKeys(third)).toEqual(withoutStoreKeys(first));
    });

    promise(create, "29 a watcher that was away during a compaction begins again, deletions included", async (s) => {
      const [first, , third] = await s.joinAll();
      const leader = await s.leaderOf([first]);
      await leader.commit(put("/test/doomed", "1"), put("/test/kept", "1"));
      await s.agree([first, third]);
      s.cluster.cut(3);
      await leader.commit(remove("/test/doomed"));
      await commitMany(s, leader, 100);
      await s.cluster.compact();
      await leader.commit(put("/test/after", "1"));
      s.cluster.heal(3);
      await s.agree([first, third]);
      expect(withoutStoreKeys(third)).toEqual(withoutStoreKeys(first));
      expect(third.snapshots.length).toBeGreaterThan(1);
      expect(third.text("/test/doomed")).toBeUndefined();
    });

    promise(create, "29 a watcher that is there during compactions loses nothing", async (s) => {
      const all = await s.joinAll();
      const leader = await s.leaderOf(all);
      for (let round = 0; round < 5; round++) {
        await commitMany(s, leader, 50);
        await s.cluster.compact();
      }
      await s.agree(all);
      for (const process of all) expect(process.tree).toEqual(leader.process.tree);
    });

    promise(create, "nothing is missing across a change of the leader", async (s) => {
      const all = await s.joinAll();
      const leader = await s.leaderOf(all);
      await commitMany(s, leader, 50);
      await s.settled(leader.process.consensus.resign(), "the leader resigns");
      const next = await s.leaderOf(all.filter((process) => process !== leader.process));
      await commitMany(s, next, 50);
      await s.agree(all);
      for (const process of all) {
        expect(process.snapshots).toHaveLength(1);
        expect(process.tree).toEqual(next.process.tree);
      }
    });

    promise(create, "a reader that stopped reading goes on with what is there", async (s) => {
      const leader = await s.leaderOf(await s.joinAll());
      const stop = new AbortController();
      const reader = leader.process.consensus.watch(stop.signal)[Symbol.asyncIterator]();
      expect((await nextEvent(s, reader)).kind).toBe("snapshot");
      const value = "x".repeat(limits.valueBytesMax);
      let last = 0n;
      for (let n = 0; n < 200; n++)
        last = await leader.commit(put(`/test/large/${n % 4}`, value), put("/test/n", `${n}`));
      let n: string | undefined;
      let read = 0;
      for (let at = 0n; at < last; read++) {
        const event = await nextEvent(s, reader);
        at = event.revision;
        n = textIn(event, "/test/n") ?? n;
      }
      expect(n).toBe("199");
      expect(read).toBeLessThan(200);
      stop.abort();
    });

    promise(create, "a watch ends when its signal is aborted, and when the candidate is closed", async (s) => {
      const process = await s.join(1);
      const stop = new AbortController();
      const aborted = collect(process.consensus, stop.signal);
      const closed = collect(process.consensus, new AbortController().signal);
      stop.abort();
      await s.settled(aborted.done, "the aborted watch ends");
      await s.settled(process.consensus.close(), "the candidate closes");
      await s.settled(closed.done, "the other watch ends");
      expect(process.violations).toEqual([]);
    });
  });
}

/** Batches of a counter, each seen by the gap check of whoever watches. */
export async function commitMany(s: Scenario, leader: Leader, count: number): Promise<void> {
  for (let n = 0; n < count; n += 100) {
    const part = Array.from({ length: Math.min(100, count - n) }, (_, at) =>
      leader.append(put("/test/counter", String(n + at)), put(`/test/counters/${(n + at) % 10}`, String(n + at))),
    );
    const outcomes = await s.settled(Promise.all(part), "a hundred appends settle");
    expect(outcomes.filter(({ kind }) => kind !== "committed")).toEqual([]);
  }
}

/** What callers wrote. Ephemeral keys of others may come and go at any time. */
export function withoutStoreKeys(process: Watched): ReadonlyMap<string, Uint8Array> {
  return new Map([...process.tree].filter(([key]) => key.startsWith("/test/")));
}

async function firstEvent(s: Scenario, consensus: Consensus): Promise<WatchEvent> {
  const stop = new AbortController();
  const { events } = collect(consensus, stop.signal);
  await s.cluster.until(() => events.length > 0, "a watch begins");
  stop.abort();
  const [event] = events;
  if (event === undefined) throw new Error("No event");
  return event;
}

function collect(consensus: Consensus, signal: AbortSignal) {
  const events: WatchEvent[] = [];
  const read = async () => {
    for await (const event of consensus.watch(signal)) events.push(event);
  };
  return { events, done: read() };
}

function textIn(event: WatchEvent, key: string): string | undefined {
  const value =
    event.kind === "snapshot"
      ? event.entries.get(key)
      : event.changes.flatMap((change) => (change.key === key && change.kind === "put" ? [change.value] : []))[0];
  return value === undefined ? undefined : new TextDecoder().decode(value);
}
