/** What the backend takes for granted of any etcd, however many members it has. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { noLease } from "../../stubs.ts";
import { leasesBeginAnew } from "./leases-begin-anew.ts";
import { type BehindTools, type Tools, toolsFor } from "./tools.ts";

/** An etcd for one test, with a key space of its own. */
export interface EtcdBehind extends BehindTools {
  /** Kills etcd and brings it back with its disk. The stubs go on. */
  powerCut(): Promise<void>;
  /** Uses its space up, or raises the alarm that says so; and takes that back. */
  setFull(isFull: boolean): Promise<void>;
  close(): Promise<void>;
}

export function describeEtcdBehaviour(name: string, create: () => Promise<EtcdBehind>): void {
  describe(`etcd as the backend takes it for granted: ${name}`, () => {
    let etcd: EtcdBehind;
    beforeEach(async () => {
      etcd = await create();
    });
    afterEach(() => etcd.close());
    const tools = () => ({ ...etcd, ...toolsFor(etcd) });
    describeTransactions(tools);
    describeSpace(tools);
    describeRanges(tools);
    describeLeases(tools);
    describeWatches(tools);
  });
}

type AnyEtcd = EtcdBehind & Tools;

function describeSpace(tools: () => AnyEtcd): void {
  it("34 without space puts and leases are refused, whatever the compares say, and everything else goes on", async () => {
    const t = tools();
    await t.putAll(["a", "b"]);
    const { id } = await t.settled(t.stubs.leaseGrant(10));
    const { answers, stream } = t.keepAlive(id);
    await t.settled(t.setFull(true));
    expect(await t.codeOf(t.put("c"))).toBe("NO_SPACE");
    const put = { kind: "put", key: t.key("d"), value: t.value("1"), lease: noLease } as const;
    const absent = { target: "createRevision", key: t.key("a"), revision: 0n } as const;
    expect(await t.codeOf(t.stubs.txn({ compares: [absent], success: [put] }))).toBe("NO_SPACE");
    expect(await t.codeOf(t.stubs.leaseGrant(10))).toBe("NO_SPACE");
    stream.send();
    await t.until(() => answers.length > 0, "the lease is renewed");
    const gone = { kind: "delete", key: t.key("a") } as const;
    expect((await t.settled(t.stubs.txn({ compares: [], success: [gone] }))).succeeded).toBe(true);
    expect(await t.names()).toEqual(["b"]);
    await t.settled(t.stubs.leaseRevoke(id));
    stream.close();
    await t.settled(t.setFull(false));
    expect((await t.put("c")).succeeded).toBe(true);
  });
}

function describeTransactions(tools: () => AnyEtcd): void {
  it("a transaction whose compares hold has one revision, and one whose do not has none", async () => {
    const t = tools();
    const first = await t.putAll(["a", "b"]);
    expect(first.succeeded).toBe(true);
    const { entries } = await t.range();
    expect(entries.map(({ modRevision }) => modRevision)).toEqual([first.revision, first.revision]);
    const compares = [{ target: "value", key: t.key("a"), value: t.value("other") } as const];
    const success = [{ kind: "put", key: t.key("a"), value: t.value("2"), lease: noLease } as const];
    const refused = await t.settled(t.stubs.txn({ compares, success }));
    expect(refused).toEqual({ revision: first.revision, succeeded: false, ranges: [] });
  });

  it("an absent key has no value to compare, and the revisions 0", async () => {
    const t = tools();
    const tell = async (target: "value" | "createRevision" | "modRevision") => {
      const key = t.key("absent");
      const compare = target === "value" ? { target, key, value: new Uint8Array() } : { target, key, revision: 0n };
      return (await t.settled(t.stubs.txn({ compares: [compare], success: [] }))).succeeded;
    };
    expect([await tell("value"), await tell("createRevision"), await tell("modRevision")]).toEqual([false, true, true]);
  });

  it("create revision stays and mod revision moves when a key is overwritten, until it was deleted", async () => {
    const t = tools();
    const first = (await t.put("a")).revision;
    const second = (await t.put("a", "2")).revision;
    expect((await t.range()).entries).toMatchObject([{ createRevision: first, modRevision: second }]);
    await t.settled(t.stubs.txn({ compares: [], success: [{ kind: "delete", key: t.key("a") }] }));
    const third = (await t.put("a")).revision;
    expect((await t.range()).entries).toMatchObject([{ createRevision: third, modRevision: third }]);
  });

  it("ranges in a transaction see what it put before them", async () => {
    const t = tools();
    const put = { kind: "put", key: t.key("a"), value: t.value("1"), lease: noLease } as const;
    const { ranges } = await t.settled(t.stubs.txn({ compares: [], success: [put, { kind: "range", ...t.all }] }));
    expect(ranges.map((range) => range.map(({ key }) => key))).toEqual([[t.key("a")]]);
  });

  it("the deletion of an absent key is no change", async () => {
    const t = tools();
    const { revision } = await t.put("a");
    const answer = await t.settled(t.stubs.txn({ compares: [], success: [{ kind: "delete", key: t.key("b") }] }));
    expect(answer).toMatchObject({ revision, succeeded: true });
  });

  it("34 128 operations are taken and one more is not; a key twice and 2 MiB are not", async () => {
    const t = tools();
    const names = Array.from({ length: 129 }, (_, n) => `n${n}`);
    expect((await t.putAll(names.slice(0, 128))).succeeded).toBe(true);
    expect(await t.codeOf(t.putAll(names))).toBe("REFUSED");
    expect(await t.codeOf(t.putAll(["a", "a"]))).toBe("REFUSED");
    expect(await t.codeOf(t.putAll(["a", "b", "c", "d"], "x".repeat(512 * 1024)))).toBe("REFUSED");
    expect(await t.names()).toHaveLength(128);
  });
}

function describeRanges(tools: () => AnyEtcd): void {
  it("a range is cut at its limit, and the pages at one revision are one state", async () => {
    const t = tools();
    await t.putAll(["a", "b", "c"]);
    const first = await t.range({ limit: 2 });
    expect([first.entries.map(({ key }) => key), first.more]).toEqual([[t.key("a"), t.key("b")], true]);
    await t.settled(t.stubs.txn({ compares: [], success: [{ kind: "delete", key: t.key("c") }] }));
    const rest = await t.range({ key: `${t.key("b")}\0`, revision: first.revision });
    expect([rest.entries.map(({ key }) => key), rest.more]).toEqual([[t.key("c")], false]);
    expect(await t.names()).toEqual(["a", "b"]);
  });

  it("29 below what was compacted nothing can be read any more", async () => {
    const t = tools();
    const first = (await t.put("a")).revision;
    const second = (await t.put("a", "2")).revision;
    await t.put("a", "3");
    await t.settled(t.stubs.compact(second));
    expect(await t.codeOf(t.range({ revision: first }))).toBe("COMPACTED");
    expect((await t.range({ revision: second })).entries).toMatchObject([{ modRevision: second }]);
    expect(await t.codeOf(t.stubs.compact(second))).toBe("COMPACTED");
  });
}

function describeLeases(tools: () => AnyEtcd): void {
  it("a lease that is too short is raised", async () => {
    const t = tools();
    if (t.ttlSecondsMin > 1) expect((await t.settled(t.stubs.leaseGrant(1))).ttlSeconds).toBe(t.ttlSecondsMin);
    expect((await t.settled(t.stubs.leaseGrant(t.ttlSecondsMin + 1))).ttlSeconds).toBe(t.ttlSecondsMin + 1);
  });

  it("all keys of a lease go in one revision when it is revoked, and others stay", async () => {
    const t = tools();
    const { id } = await t.settled(t.stubs.leaseGrant(60));
    await t.putAll(["a", "b"], "1", id);
    const { revision } = await t.put("c");
    const watch = t.watch({ startRevision: revision + 1n });
    await t.settled(t.stubs.leaseRevoke(id));
    await t.until(() => watch.events().length === 2, "both are gone");
    expect(new Set(watch.events().map(({ modRevision }) => modRevision)).size).toBe(1);
    expect(watch.events().every(({ kind }) => kind === "delete")).toBe(true);
    expect(await t.names()).toEqual(["c"]);
    watch.stream.close();
  });

  it("a key that is put again under another lease, or none, leaves the first", async () => {
    const t = tools();
    const first = await t.settled(t.stubs.leaseGrant(60));
    const second = await t.settled(t.stubs.leaseGrant(60));
    await t.putAll(["a", "b"], "1", first.id);
    await t.put("a", "1", second.id);
    await t.put("b");
    await t.settled(t.stubs.leaseRevoke(first.id));
    expect((await t.range()).entries.map(({ lease }) => lease)).toEqual([second.id, noLease]);
  });

  it("nothing is bound to a lease that is gone, and its renewal says 0", async () => {
    const t = tools();
    const { id } = await t.settled(t.stubs.leaseGrant(60));
    const kept = t.keepAlive(id);
    kept.stream.send();
    await t.until(() => kept.answers.length === 1, "it is renewed");
    await t.settled(t.stubs.leaseRevoke(id));
    expect(await t.codeOf(t.put("a", "1", id))).toBe("LEASE_NOT_FOUND");
    expect(await t.codeOf(t.stubs.leaseRevoke(id))).toBe("LEASE_NOT_FOUND");
    kept.stream.send();
    await t.until(() => kept.answers.length === 2, "it is answered");
    expect(kept.answers).toEqual([60, 0]);
    kept.stream.close();
  });

  it("a lease that nobody renews ends, and one that is renewed does not", async () => {
    const t = tools();
    const [short, kept] = [t.ttlSecondsMin, t.ttlSecondsMin];
    const first = await t.settled(t.stubs.leaseGrant(short));
    const second = await t.settled(t.stubs.leaseGrant(kept));
    await t.put("a", "1", first.id);
    const { revision } = await t.put("b", "1", second.id);
    const renewed = t.keepAlive(second.id);
    const watch = t.watch({ startRevision: revision + 1n });
    let sent = 0;
    await t.until(() => {
      if (renewed.answers.length === sent) {
        renewed.stream.send();
        sent += 1;
      }
      return watch.events().length > 0;
    }, "the first ends");
    expect(watch.events().map(({ key }) => key)).toEqual([t.key("a")]);
    expect(await t.names()).toEqual(["b"]);
    renewed.stream.close();
    watch.stream.close();
  });

  it("31 leases begin anew with etcd's own restart, and last longer by it", async () => {
    const t = tools();
    await leasesBeginAnew(t, async () => {
      await t.powerCut();
      return t;
    });
  });

  it("31 leases outlive etcd's own restart, and are renewed behind it for as long as before", async () => {
    const t = tools();
    const { id } = await t.settled(t.stubs.leaseGrant(60));
    await t.put("a", "1", id);
    await t.powerCut();
    expect((await t.range()).entries).toMatchObject([{ lease: id }]);
    const kept = t.keepAlive(id);
    kept.stream.send();
    await t.until(() => kept.answers.length === 1, "it is renewed");
    expect(kept.answers).toEqual([60]);
    kept.stream.close();
  });
}

function describeWatches(tools: () => AnyEtcd): void {
  it("a watch says that it began, then tells each revision with all its changes in order", async () => {
    const t = tools();
    const { revision } = await t.put("before");
    const watch = t.watch({ startRevision: revision + 1n });
    await t.until(() => watch.responses.length > 0, "it began");
    expect(watch.responses[0]).toMatchObject({ created: true, events: [] });
    const answer = await t.putAll(["b", "a"]);
    await t.until(() => watch.events().length === 2, "it is told");
    expect(watch.events().map(({ key, modRevision }) => [key, modRevision])).toEqual([
      [t.key("b"), answer.revision],
      [t.key("a"), answer.revision],
    ]);
    watch.stream.close();
  });

  it("28 a long history comes in parts, whose header is ahead of their events", async () => {
    const t = tools();
    const revisions: bigint[] = [];
    while (revisions.length < 1_500) {
      const puts = await Promise.all(Array.from({ length: 100 }, (_, n) => t.put("n", String(n))));
      revisions.push(...puts.map(({ revision }) => revision));
    }
    revisions.sort((left, right) => (left < right ? -1 : 1));
    const watch = t.watch({ startRevision: revisions[0] ?? 0n });
    await t.until(() => watch.events().length === 1_500, "all of it is told");
    expect(watch.events().map(({ modRevision }) => modRevision)).toEqual(revisions);
    const [part] = watch.responses.filter(({ events }) => events.length > 0);
    expect(part?.events.length).toBeLessThan(1_500);
    expect(part?.revision).toBeGreaterThan(part?.events.at(-1)?.modRevision ?? 0n);
    watch.stream.close();
  });

  it("34e a large revision comes in fragments, and all but the last say so", async () => {
    const t = tools();
    const { revision } = await t.put("before");
    const large = "x".repeat(400 * 1024);
    for (let n = 0; n < 3; n++) await t.putAll(["a", "b"], large);
    const last = (await t.put("end")).revision;
    const watch = t.watch({ startRevision: revision + 1n });
    await t.until(() => watch.events().some(({ modRevision }) => modRevision === last), "all of it is told");
    const told = watch.responses.filter(({ events }) => events.length > 0);
    expect(told.length).toBeGreaterThan(1);
    const cutInHalf = told.filter(({ events }, at) => {
      const next = told[at + 1]?.events[0]?.modRevision;
      return next !== undefined && events.at(-1)?.modRevision === next;
    });
    expect(cutInHalf.length).toBeGreaterThan(0);
    expect(cutInHalf.every(({ fragment }) => fragment)).toBe(true);
    expect(told.at(-1)?.fragment).toBe(false);
    expect(watch.events()).toHaveLength(7);
    watch.stream.close();
  });

  it("29 a watch that wants what was compacted is canceled with the revision, and one from that revision on gets all", async () => {
    const t = tools();
    const first = (await t.put("a")).revision;
    const second = (await t.put("a", "2")).revision;
    await t.settled(t.stubs.compact(second));
    const watch = t.watch({ startRevision: first });
    await t.until(() => watch.responses.some(({ canceled }) => canceled !== undefined), "it is canceled");
    expect(watch.responses.find(({ canceled }) => canceled !== undefined)?.canceled?.compactRevision).toBe(second);
    const later = t.watch({ startRevision: second });
    const third = (await t.put("a", "3")).revision;
    await t.until(() => later.events().some(({ modRevision }) => modRevision === third), "the other is told");
    expect(later.events().map(({ modRevision }) => modRevision)).toEqual([second, third]);
    watch.stream.close();
    later.stream.close();
  });

  it("a watch of a revision that is not there yet waits for it", async () => {
    const t = tools();
    const { revision } = await t.put("a");
    const watch = t.watch({ startRevision: revision + 2n });
    await t.put("a", "2");
    // What another test left ends in between where the store is shared, and takes a revision as well.
    const told = (await t.put("a", "3")).revision;
    await t.until(() => watch.events().some(({ modRevision }) => modRevision === told), "it is told");
    expect(watch.events().every(({ modRevision }) => modRevision >= revision + 2n)).toBe(true);
    watch.stream.close();
  });

  it("a watch that is asked for a sign of life gives one without events", async () => {
    const t = tools();
    const { revision } = await t.put("a");
    const watch = t.watch({ startRevision: revision });
    await t.until(() => watch.events().length === 1, "it began");
    watch.stream.requestProgress();
    await t.until(() => watch.responses.length === 3, "it answers");
    expect(watch.responses[2]).toMatchObject({ created: false, events: [] });
    watch.stream.close();
  });

  it("a watch that begins in the future tells nothing from before, with a sign of life, as 3.4 gives, or without", async () => {
    const t = tools();
    const { revision } = await t.put("a");
    const watch = t.watch({ startRevision: revision + 10n });
    await t.until(() => watch.responses.length === 1, "it began");
    watch.stream.requestProgress();
    for (let n = 0; n < 20; n++) await t.put("a", String(n));
    await t.until(() => watch.events().length > 0, "it is told");
    expect(watch.events()[0]?.modRevision).toBe(revision + 10n);
    watch.stream.close();
  });

  it("streams and calls end when etcd is killed", async () => {
    const t = tools();
    const { revision } = await t.put("a");
    const watch = t.watch({ startRevision: revision + 1n });
    await t.until(() => watch.responses.length === 1, "it began");
    await t.powerCut();
    await t.until(() => watch.ended.length === 1, "the watch ends");
    expect(watch.ended[0]?.code).toBe("LOST");
    expect(await t.names()).toEqual(["a"]);
  });
}
