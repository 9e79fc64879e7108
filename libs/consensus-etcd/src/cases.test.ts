/** The failure cases of etcd that are not traps: what the backend does about each, on a simulated etcd. */
import type { WatchEvent } from "@tidemark/consensus";
import type { Watched } from "@tidemark/consensus/contract";
import type { Runtime } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { createSimulatedEtcd, type SimulatedEtcd } from "./simulated/simulated-etcd.ts";
import type { EtcdMembers } from "./stubs.ts";
import { countCalls } from "./testing/count-calls.ts";
import { type Course, type CourseOptions, runCourse } from "./testing/course.ts";

function course(name: string, options: CourseOptions, body: (c: Course) => Promise<void>): void {
  it(name, async () => {
    const { violations } = await runCourse(options, body);
    expect(violations).toEqual([]);
  });
}

const threeMembers: CourseOptions = { etcd: { members: 3 } };
const putElsewhere = { kind: "put", key: "/elsewhere/a", value: Uint8Array.of(1), lease: "0" } as const;
const countOf = (c: Course, ...kinds: readonly string[]) => c.events.filter(({ kind }) => kinds.includes(kind)).length;
const leads = (process: Watched) => process.belief().kind === "leading";

describe("belief", () => {
  course("30 ends before the lease when etcd is frozen, though the connections stand", {}, async (c) => {
    const first = await c.join(1);
    await c.advance(700);
    c.etcd.freeze(1);
    const frozenAtMs = c.nowMs();
    await c.cluster.until(() => !leads(first), "belief ends");
    expect(c.nowMs() - frozenAtMs).toBeLessThan(2_000);
    c.etcd.thaw(1);
    await c.leading(first);
  });

  course("30 ends when the process itself stalls for longer than its lease", {}, async (c) => {
    const [first, second] = [await c.join(1), await c.join(2)];
    const epoch = await c.leading(first);
    c.cluster.stall(1);
    await c.advance(10_000);
    expect(leads(second)).toBe(true);
    c.cluster.resume(1);
    await c.cluster.until(() => !leads(first), "the first steps down");
    expect(await c.append(first, epoch, "/test/late")).toBe("FENCED");
  });

  course("30 is kept through a stall that is shorter", {}, async (c) => {
    const first = await c.join(1);
    await c.join(2);
    c.cluster.stall(1);
    await c.advance(900);
    c.cluster.resume(1);
    await c.advance(3_000);
    expect(first.beliefs.filter(({ kind }) => kind === "leading")).toHaveLength(1);
    expect(leads(first)).toBe(true);
  });

  course(
    "31 ends at once when etcd lost the lease though all is healthy, and the session begins anew",
    {},
    async (c) => {
      const [first, second] = [await c.join(1), await c.join(2)];
      const before = await c.leading(first);
      const stubs = c.etcd.members.connect(c.etcd.members.endpoints[0] ?? "");
      const { entries } = await c.settled(stubs.range({ key: `${c.prefix}/controller` }));
      await c.settled(stubs.leaseRevoke(entries[0]?.lease ?? ""));
      await c.cluster.until(() => leads(second) || (leads(first) && first.beliefs.length > 2), "somebody leads anew");
      await c.cluster.until(() => second.tree.has("/controllers/1"), "the first is there again");
      const after = [first, second].map((process) => process.belief());
      for (const belief of after) expect(belief.kind === "none" ? before : belief.epoch).toBeGreaterThan(before);
      expect(countOf(c, "leaseLost")).toBe(1);
    },
  );

  course("31 ends in time though leases last longer by etcd's own failover", threeMembers, async (c) => {
    const [first, second] = [await c.join(1), await c.join(2)];
    await c.advance(1_000);
    c.cluster.cut(1);
    const cutAtMs = c.nowMs();
    await c.advance(1_200);
    c.etcd.loseLeader(200);
    await c.advance(1_600);
    // Past its two seconds, and past etcd's next look at leases: it is still there, and nobody leads.
    expect(c.nowMs() - cutAtMs).toBeGreaterThan(2_000 + 500);
    expect(second.tree.has("/controllers/1")).toBe(true);
    expect([first, second].map((process) => process.belief().kind)).toEqual(["none", "following"]);
    await c.leading(second);
    expect(leads(first)).toBe(false);
  });
});

describe("two claims of one epoch", () => {
  course("34d of which the loser heard no answer are one that is won", {}, async (c) => {
    const [first, second, third] = [await c.join(1), await c.join(2), await c.join(3)];
    const late = c.cluster.delayNextRequest(2);
    await c.settled(first.consensus.close());
    await c.settled(late.sent);
    const epoch = await c.leading(third);
    await late.arrive();
    await c.advance(2_000);
    const outcomes = c.events.flatMap((event) =>
      event.kind === "claimed" && event.epoch === epoch ? [event.outcome] : [],
    );
    expect(outcomes.sort()).toEqual(["unsettled", "won"]);
    expect(second.belief()).toMatchObject({ kind: "following", epoch });
    expect(third.belief()).toMatchObject({ kind: "leading", epoch });
  });
});

describe("members of etcd", () => {
  course("33 one in a minority is left for the next, and the leader leads on", threeMembers, async (c) => {
    const first = await c.join(1);
    const epoch = await c.leading(first);
    for (const member of [1, 2, 3]) {
      c.etcd.isolate(member);
      expect(await c.append(first, epoch, `/test/isolated/${member}`)).toBe("committed");
      await c.advance(3_000);
      c.etcd.heal(member);
    }
    expect(first.belief()).toMatchObject({ kind: "leading", epoch });
    expect(first.tree.has("/test/isolated/3")).toBe(true);
  });

  course("33 one that is gone is left for the next, and the leader leads on", threeMembers, async (c) => {
    const first = await c.join(1);
    const epoch = await c.leading(first);
    for (const member of [1, 2, 3]) {
      c.etcd.stop(member);
      expect(await c.append(first, epoch, `/test/stopped/${member}`)).toBe("committed");
      await c.advance(3_000);
      c.etcd.heal(member);
    }
    expect(first.belief()).toMatchObject({ kind: "leading", epoch });
  });

  course(
    "33 one that is frozen is left for the next, and what was stuck there is committed once",
    threeMembers,
    async (c) => {
      const first = await c.join(1);
      const epoch = await c.leading(first);
      for (const member of [1, 2, 3]) {
        c.etcd.freeze(member);
        expect(await c.append(first, epoch, `/test/frozen/${member}`)).toBe("committed");
        c.etcd.thaw(member);
        await c.advance(3_000);
      }
      for (const member of [1, 2, 3]) {
        const writes = [...first.batches.values()].filter((changes) =>
          changes.some(({ key }) => key === `/test/frozen/${member}`),
        );
        expect(writes).toHaveLength(1);
      }
    },
  );

  course(
    "none of them answering for a minute is asked no more often than the pauses allow",
    threeMembers,
    async (c) => {
      const first = await c.join(1);
      for (const member of [1, 2, 3]) c.etcd.stop(member);
      await c.advance(5_000);
      const before = countOf(c, "memberFailed");
      await c.advance(60_000);
      // Three members are tried in turn, then there is a pause of 400 to 800 ms.
      expect(countOf(c, "memberFailed") - before).toBeLessThan(500);
      expect(countOf(c, "memberFailed") - before).toBeGreaterThan(100);
      for (const member of [1, 2, 3]) c.etcd.heal(member);
      await c.leading(first);
    },
  );
});

describe("a watch", () => {
  course("that is silent though it was asked for a sign of life is resumed elsewhere", threeMembers, async (c) => {
    await c.join(1);
    const second = await c.join(2);
    await c.advance(500);
    const before = countOf(c, "watchInterrupted");
    c.cluster.holdWatch(2);
    await c.advance(3_000);
    expect(countOf(c, "watchInterrupted")).toBeGreaterThan(before);
    c.cluster.releaseWatch(2);
    await c.cluster.until(() => second.belief().kind === "following", "the second follows");
  });

  course("on which nothing happens stands for as long as nothing happens", {}, async (c) => {
    await c.join(1);
    await c.join(2);
    await c.advance(1_000);
    // Behind everything: what it waits for is in the future.
    await c.start(3);
    await c.advance(1_000);
    const started = countOf(c, "watchStarted");
    await c.advance(60_000);
    expect(countOf(c, "watchStarted")).toBe(started);
    expect(countOf(c, "watchInterrupted", "memberFailed", "leaseLost")).toBe(0);
  });
});

describe("a barrier", () => {
  course("is passed though others write elsewhere in the same etcd, of which nothing shows here", {}, async (c) => {
    const first = await c.join(1);
    const stubs = c.etcd.members.connect(c.etcd.members.endpoints[0] ?? "");
    await c.settled(stubs.txn({ compares: [], success: [putElsewhere] }));
    await c.settled(first.consensus.sync(new AbortController().signal));
  });
});

describe("a committed batch", () => {
  course("is in a watch that begins then, however late etcd tells of it", { etcd: { latencyMs: 20 } }, async (c) => {
    const first = await c.join(1);
    const epoch = await c.leading(first);
    for (let n = 0; n < 20; n++) {
      const change = { kind: "put", key: "/test/n", value: Uint8Array.from([n]) } as const;
      const outcome = await c.settled(first.consensus.append(epoch, [change]));
      const stop = new AbortController();
      const next = await c.settled(first.consensus.watch(stop.signal)[Symbol.asyncIterator]().next());
      stop.abort();
      expect(outcome.kind).toBe("committed");
      const event = next.value as WatchEvent;
      expect(event.kind === "snapshot" ? event.entries.get("/test/n") : undefined).toEqual(change.value);
    }
  });
});

describe("a lease", () => {
  course("32 of a session that was lost is given back when etcd is there again", {}, async (c) => {
    const first = await c.join(1);
    await c.join(2);
    const granted = c.events.flatMap((event) => (event.kind === "leaseGranted" ? [event.lease] : []));
    c.cluster.cut(2);
    await c.cluster.until(() => countOf(c, "leaseLost") > 0, "belief ends");
    c.cluster.heal(2);
    await c.cluster.until(
      () => c.events.filter(({ kind }) => kind === "leaseGranted").length === 3,
      "there is another",
    );
    await c.cluster.until(() => first.tree.has("/controllers/2"), "it is there again");
    const stubs = c.etcd.members.connect(c.etcd.members.endpoints[0] ?? "");
    const again = c.settled(stubs.leaseRevoke(granted[1] ?? "").catch((error: unknown) => error));
    expect(await again).toMatchObject({ code: "LEASE_NOT_FOUND" });
  });
});

describe("what etcd refuses", () => {
  course(
    "34 without space an append is refused by name, the leader leads on, and appends again when there is some",
    {},
    async (c) => {
      const first = await c.join(1);
      const epoch = await c.leading(first);
      c.etcd.setFull(true);
      expect(await c.append(first, epoch, "/test/full")).toBe("NO_SPACE");
      await c.advance(5_000);
      expect(leads(first)).toBe(true);
      c.etcd.setFull(false);
      expect(await c.append(first, epoch, "/test/room")).toBe("committed");
      expect(first.tree.has("/test/full")).toBe(false);
    },
  );

  course(
    "34 without space nobody claims more than once a second, and somebody does when there is some",
    {},
    async (c) => {
      const [first, second] = [await c.join(1), await c.join(2)];
      c.etcd.setFull(true);
      c.cluster.kill(1);
      await c.advance(10_000);
      expect(countOf(c, "claimed")).toBeLessThan(12);
      c.etcd.setFull(false);
      await c.leading(second);
      expect(leads(first)).toBe(true);
    },
  );

  course("33 a key that is denied is asked for no more than once a second, and said", {}, async (c) => {
    const first = await c.start(1);
    c.etcd.deny(`${c.prefix}/controller`);
    await c.settled(first.consensus.join(c.cluster.identity(1)));
    await c.advance(10_000);
    expect(leads(first)).toBe(false);
    const claims = c.events.filter((event) => event.kind === "claimed");
    expect(claims.length).toBeGreaterThan(5);
    expect(claims.length).toBeLessThan(15);
    expect(new Set(claims.map(({ outcome }) => outcome))).toEqual(new Set(["failed"]));
  });
});

describe("history", () => {
  const compaction = { intervalMs: 1_000, retainRevisions: 10 };
  course("29 is compacted down to what is to stay", { settings: { compaction } }, async (c) => {
    const [first, second] = [await c.join(1), await c.join(2)];
    const epoch = await c.leading(first);
    for (let n = 0; n < 50; n++) await c.append(first, epoch, "/test/n", String(n));
    await c.advance(3_000);
    expect(countOf(c, "historyCompacted")).toBeGreaterThan(0);
    expect(countOf(c, "compactionFailed")).toBe(0);
    const compacted = c.events.flatMap((event) => (event.kind === "historyCompacted" ? [event.revision] : []));
    expect(compacted.every((revision) => revision <= c.etcd.revision() - 10n)).toBe(true);
    expect(second.tree).toEqual(first.tree);
    expect(second.snapshots).toHaveLength(1);
  });

  it("29 is compacted by the active controller alone, once an interval", async () => {
    const { between, of } = countCalls();
    const { violations } = await runCourse({ between, settings: { compaction } }, async (c) => {
      const [first] = [await c.join(1), await c.join(2), await c.join(3)];
      const epoch = await c.leading(first);
      for (let n = 0; n < 50; n++) await c.append(first, epoch, "/test/n", String(n));
      const before = of("compact");
      await c.advance(5_000);
      expect(of("compact") - before).toBe(5);
    });
    expect(violations).toEqual([]);
  });

  course("29 that was compacted while nobody watched is read anew, deletions included", {}, async (c) => {
    const [first, second] = [await c.join(1), await c.join(2)];
    const epoch = await c.leading(first);
    await c.append(first, epoch, "/test/doomed");
    c.cluster.holdWatch(2);
    c.cluster.cut(2);
    const gone = { kind: "delete", key: "/test/doomed" } as const;
    await c.settled(first.consensus.append(epoch, [gone]));
    c.etcd.compact();
    c.cluster.heal(2);
    c.cluster.releaseWatch(2);
    await c.cluster.until(() => second.snapshots.length > 1, "it reads anew");
    expect(second.tree.has("/test/doomed")).toBe(false);
    expect(countOf(c, "watchCompacted")).toBeGreaterThan(0);
  });

  it("34g of an etcd that was restored from an older backup ends the process with a word", async () => {
    let isRestored = false;
    const restored: { etcd?: SimulatedEtcd } = {};
    const between = (members: EtcdMembers, runtime: Runtime): EtcdMembers => {
      const other = createSimulatedEtcd({ runtime });
      restored.etcd = other;
      return {
        endpoints: members.endpoints,
        connect: (endpoint) => (isRestored ? other.members : members).connect(endpoint),
      };
    };
    const { value } = await runCourse({ between }, async (c) => {
      const first = await c.join(1);
      const epoch = await c.leading(first);
      for (let n = 0; n < 20; n++) await c.append(first, epoch, "/test/n", String(n));
      isRestored = true;
      c.etcd.stop(1);
      await c.cluster.until(() => countOf(c, "storeRegressed") > 0, "it is seen");
      return c.settled(first.consensus.sync(new AbortController().signal).catch((error: unknown) => error));
    });
    restored.etcd?.close();
    expect(value).toMatchObject({ code: "FAILED", message: expect.stringContaining("restored") as string });
  });
});
