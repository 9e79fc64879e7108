/** What the backend makes of an etcd that gives it bad answers: an error that says why, and calls that are counted. */
import { createManualTime, createSeededRandom } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { EtcdOpenError, openEtcdStore } from "./open.ts";
import { createSimulatedEtcd, type SimulatedEtcd } from "./simulated/simulated-etcd.ts";
import { EtcdError, type EtcdMembers, type EtcdStubs } from "./stubs.ts";
import { countCalls } from "./testing/count-calls.ts";
import { type Course, runCourse } from "./testing/course.ts";

/** Opens the backend, and says why it could not and how many calls that took. */
async function openOn(spoil: (etcd: SimulatedEtcd) => void) {
  const time = createManualTime();
  const runtime = { ...time, random: createSeededRandom(1) };
  const etcd = createSimulatedEtcd({ runtime, members: 3 });
  spoil(etcd);
  const { between, all } = countCalls();
  const fate: { error?: unknown } = {};
  const settings = { prefix: "/bad", leaseMs: 3_000, renewalMs: 1_000, compaction: undefined };
  const opening = openEtcdStore({ members: between(etcd.members), settings, runtime, patienceMs: 10_000 });
  opening.catch((error: unknown) => {
    fate.error = error;
  });
  await time.advance(20_000);
  etcd.close();
  if (!(fate.error instanceof EtcdOpenError)) throw new Error("It was opened");
  return { code: fate.error.code, message: fate.error.message, calls: all() };
}

describe("a start", () => {
  it("where no member answers ends in time, after calls with pauses between them", async () => {
    const { code, calls } = await openOn((etcd) => {
      for (const member of [1, 2, 3]) etcd.stop(member);
    });
    expect(code).toBe("UNREACHABLE");
    expect(calls).toBeGreaterThan(10);
    // Three members in turn, then a pause of 400 to 800 ms, for ten seconds.
    expect(calls).toBeLessThan(80);
  });

  it("that is denied the prefix asks once", async () => {
    const { code, message, calls } = await openOn((etcd) => etcd.deny("/bad/append"));
    expect([code, calls]).toEqual(["DENIED", 1]);
    expect(message).toMatch(/permission denied\. Way out: correct consensus\.etcd\.username .* \/bad\/ up to \/bad0$/);
  });

  it("33 of a user who may read and not write says what etcd says", async () => {
    await runCourse({}, async (c) => {
      const { consensus } = await c.start(1);
      c.etcd.deny(`${c.prefix}/controllers/1`);
      await expect(c.settled(consensus.join(c.cluster.identity(1)))).rejects.toThrow(/FAILED: .*permission denied/);
    });
  });

  it("34 on an etcd without space asks no second time, and says what to do", async () => {
    const { code, message, calls } = await openOn((etcd) => etcd.setFull(true));
    expect([code, calls]).toEqual(["NO_SPACE", 2]);
    expect(message).toMatch(/space exceeded\. Way out: compact and defragment etcd or raise its quota/);
  });
});

const minuteMs = 60_000;
const garbage = Uint8Array.from(Buffer.from("?"));

/** The calls of a minute behind what `spoil` does to a leader and a standby. */
async function callsOfAMinute(spoil: (c: Course) => Promise<void> | void) {
  const { between, all, of } = countCalls();
  const { value } = await runCourse({ between }, async (c) => {
    const [first, second] = [await c.join(1), await c.join(2)];
    await spoil(c);
    await c.advance(5_000);
    const before = { calls: all(), watches: of("watch") };
    await c.advance(minuteMs);
    return {
      calls: all() - before.calls,
      watches: of("watch") - before.watches,
      beliefs: [first, second].map((process) => process.belief().kind),
      // Without what is reported at the end, when everybody leaves.
      events: [...c.events],
    };
  });
  return value;
}

/** Watches say that they began, and nothing else comes. */
function breakingWatches({ endpoints, connect }: EtcdMembers, isOn: () => boolean): EtcdMembers {
  return {
    endpoints,
    connect(endpoint) {
      const stubs = connect(endpoint);
      const watch: EtcdStubs["watch"] = (request, handlers) =>
        stubs.watch(request, {
          onEnd: handlers.onEnd,
          onMessage(response) {
            handlers.onMessage(response);
            if (isOn() && response.created) handlers.onEnd(new EtcdError("LOST", "the stream was reset"));
          },
        });
      return { ...stubs, watch };
    },
  };
}

describe("a running controller", () => {
  it("whose session was lost asks for another about once a second where etcd has no space for a lease", async () => {
    const { calls, beliefs, events } = await callsOfAMinute((c) => {
      c.cluster.cut(1);
      c.cluster.cut(2);
      c.etcd.setFull(true);
      // Their belief has ended by then, and they come back to an etcd without space.
      c.advance(4_000).then(
        () => {
          c.cluster.heal(1);
          c.cluster.heal(2);
        },
        () => {},
      );
    });
    expect(beliefs).toEqual(["none", "none"]);
    expect(events.some((event) => event.kind === "connectFailed" && event.code === "NO_SPACE")).toBe(true);
    expect(calls).toBeGreaterThan(60);
    expect(calls).toBeLessThan(300);
  });

  it("33 that lost its rights to every key says so, and begins a watch about twice a second", async () => {
    const { calls, watches, events } = await callsOfAMinute((c) => {
      for (const key of ["/append", "/controller", "/controllers/1", "/controllers/2"]) c.etcd.deny(c.prefix + key);
      // A watch that stands is not ended by the loss of a right.
      c.etcd.loseLeader(10);
    });
    const causes = events.flatMap((event) => (event.kind === "watchInterrupted" ? [event.cause] : []));
    expect(causes.some((cause) => cause.includes("permission denied"))).toBe(true);
    // Two candidates, each of which pauses for 400 to 800 ms.
    expect(watches).toBeGreaterThan(120);
    expect(watches).toBeLessThan(300);
    expect(calls - watches).toBeLessThan(10);
  });

  it("whose watch begins and breaks off at once, again and again, begins another about twice a second", async () => {
    const { between: counting, of } = countCalls();
    const breaking = { isOn: false };
    const between = (members: EtcdMembers) => counting(breakingWatches(members, () => breaking.isOn));
    await runCourse({ between }, async (c) => {
      await c.join(1);
      breaking.isOn = true;
      c.etcd.loseLeader(10);
      await c.advance(5_000);
      const before = of("watch");
      await c.advance(minuteMs);
      expect(of("watch") - before).toBeGreaterThan(60);
      expect(of("watch") - before).toBeLessThan(150);
      breaking.isOn = false;
    });
  });

  it("whose keys do not parse claims once for each change of them, and leads again", async () => {
    const { calls, beliefs } = await callsOfAMinute(async (c) => {
      for (const key of ["/append", "/controller_epoch", "/controller"]) await c.cluster.plant(key, garbage);
    });
    expect(beliefs).toContain("leading");
    // Leases are renewed on streams: nothing is left to be asked.
    expect(calls).toBeLessThan(10);
  });

  it("that finds no key which says the controller epoch claims nothing, and says so", async () => {
    const { between, all } = countCalls();
    await runCourse({ between }, async (c) => {
      const process = await c.start(1);
      for (const key of ["/append", "/controller_epoch"]) await c.cluster.plant(key, garbage);
      await c.settled(process.consensus.join(c.cluster.identity(1)));
      const before = all();
      await c.advance(minuteMs);
      expect(all() - before).toBeLessThan(10);
      const said = c.events.filter(({ kind }) => kind === "claimImpossible");
      expect(said.length).toBeGreaterThan(0);
      expect(said.length).toBeLessThan(10);
      expect(process.belief().kind).toBe("none");
    });
  });
});

describe("an append that etcd refuses", () => {
  it("33 is refused by name, is not tried again, and the leader leads on", async () => {
    const { between, all } = countCalls();
    const { violations } = await runCourse({ between }, async (c) => {
      const first = await c.join(1);
      const epoch = await c.leading(first);
      c.etcd.deny(`${c.prefix}/topics/denied`);
      const before = all();
      expect(await c.append(first, epoch, "/topics/denied")).toBe("STORE_REFUSED");
      expect(all() - before).toBe(1);
      expect(await c.append(first, epoch, "/topics/allowed")).toBe("committed");
      expect(first.belief()).toMatchObject({ kind: "leading", epoch });
    });
    expect(violations).toEqual([]);
  });
});

describe("a resignation that etcd does not take", () => {
  it.each([
    { how: "for want of space", spoil: () => undefined },
    { how: "and whose answer is lost, too", spoil: (c: Course) => c.cluster.loseNextRequest(1) },
  ])("34 $how ends no leadership for good: the candidate claims anew once there is space", async ({ spoil }) => {
    const { violations } = await runCourse({}, async (c) => {
      const [first, second] = [await c.join(1), await c.join(2)];
      const epoch = await c.leading(first);
      c.etcd.setFull(true);
      spoil(c);
      await c.settled(first.consensus.resign());
      await c.advance(10_000);
      expect([first.belief().kind, second.belief().kind]).not.toContain("leading");
      c.etcd.setFull(false);
      expect(await c.leading(first)).toBeGreaterThan(epoch);
      await c.cluster.until(() => second.belief().kind === "following", "the rival follows");
      // Its next resignation leaves the place to the rival again.
      await c.settled(first.consensus.resign());
      await c.leading(second);
    });
    expect(violations).toEqual([]);
  });
});
