import { describe, expect, it, test } from "vitest";
import type { TraceSpan } from "../span.ts";
import { explainTraces } from "./explain.ts";

let nextId = 0;

interface Given {
  readonly parent?: TraceSpan | undefined;
  readonly name: string;
  readonly process: string;
  readonly ms: readonly [from: number, to: number];
  readonly attributes?: Readonly<Record<string, string | number>>;
  readonly error?: string;
}

function span({ parent, name, process, ms: [from, to], attributes = {}, error }: Given): TraceSpan {
  const id = String(++nextId).padStart(16, "0");
  return {
    traceId: parent?.traceId ?? id.padStart(32, "0"),
    spanId: id,
    parentId: parent?.spanId,
    name,
    process,
    startNanos: BigInt(Math.round(from * 1e6)),
    endNanos: BigInt(Math.round(to * 1e6)),
    attributes: Object.entries(attributes).map(([key, value]) => [key, String(value)]),
    links: [],
    error,
  };
}

/** How long each step of a produce takes, in milliseconds: a healthy one where nothing is said. */
interface Steps {
  /** From one process to another, and back. */
  readonly ways?: Readonly<Record<string, readonly [there: number, back: number]>>;
  /** Flush, by process. */
  readonly flushes?: Readonly<Record<string, number>>;
  readonly acks?: "leader" | "all";
}

/** A produce by client, gateway, the leader broker-1 and the followers broker-2 and broker-3. */
function produce({ ways = {}, flushes = {}, acks = "all" }: Steps = {}): readonly TraceSpan[] {
  const way = (from: string, to: string) => ways[`${from} ${to}`] ?? [0.3, 0.3];
  const flush = (process: string) => flushes[process] ?? 1;
  const legs = ["broker-2", "broker-3"].map((follower) => {
    const [there, back] = way("broker-1", follower);
    return { follower, there, work: 0.2 + flush(follower), back };
  });
  const [toGateway, fromGateway] = way("client", "gateway-1");
  const [toLeader, fromLeader] = way("gateway-1", "broker-1");
  const arrived = toGateway + toLeader;
  const work = Math.max(0.2 + flush("broker-1"), ...legs.map(({ there, work: own, back }) => 0.2 + there + own + back));
  const answered = arrived + work;
  const spans: TraceSpan[] = [];
  const add = (given: Given) => {
    const made = span(given);
    spans.push(made);
    return made;
  };
  const root = add({ name: "tidemark.produce", process: "client", ms: [0, answered + fromLeader + fromGateway] });
  const route = add({
    parent: root,
    name: "gateway route",
    process: "gateway-1",
    ms: [toGateway, answered + fromLeader],
    attributes: { "tidemark.leader": 1 },
  });
  const served = add({
    parent: route,
    name: "broker produce",
    process: "broker-1",
    ms: [arrived, answered],
    attributes: { "tidemark.acks": acks },
  });
  const stored = (parent: TraceSpan, process: string, from: number) => {
    add({ parent, name: "append", process, ms: [from, from + 0.2] });
    const to = from + 0.2 + flush(process);
    add({ parent, name: "flush", process, ms: [from + 0.2, to], attributes: { "tidemark.sync_ms": flush(process) } });
  };
  stored(served, "broker-1", arrived);
  for (const { follower, there, work: own, back } of legs) {
    const from = arrived + 0.2;
    const id = follower.slice(-1);
    const to = from + there + own + back;
    const attributes = { "tidemark.follower": id };
    const replicate = add({ parent: served, name: "replicate", process: "broker-1", ms: [from, to], attributes });
    const ms = [from + there, from + there + own] as const;
    const receive = add({ parent: replicate, name: "replica receive", process: follower, ms });
    stored(receive, follower, from + there);
  }
  return spans;
}

/** A produce with acks=all, and its way to a follower that outlasts it. */
function withLate(of: {
  readonly acked: number;
  readonly ms: readonly [number, number];
  readonly receive: readonly [number, number] | undefined;
}): readonly TraceSpan[] {
  const process = "broker-1";
  const [all, alone] = [{ "tidemark.acks": "all" }, { "tidemark.follower": 4 }];
  const produced = span({ name: "broker produce", process, ms: [0, of.acked], attributes: all });
  const late = span({ parent: produced, name: "replicate", process, ms: of.ms, attributes: alone });
  if (of.receive === undefined) return [produced, late];
  const receive = span({ parent: late, name: "replica receive", process: "broker-4", ms: of.receive });
  return [produced, late, receive, span({ parent: receive, name: "flush", process: "broker-4", ms: of.receive })];
}

const several = (make: () => readonly TraceSpan[]) => Array.from({ length: 5 }, make).flat();
const culprit = (spans: readonly TraceSpan[]) => {
  const [first] = explainTraces(spans);
  return first && [first.process, first.part];
};

describe("a produce that was slow is laid to", () => {
  test.each([
    { of: "a follower's disk", steps: { flushes: { "broker-2": 80 } }, is: ["broker-2", "disk"] },
    { of: "the leader's disk", steps: { flushes: { "broker-1": 80 } }, is: ["broker-1", "disk"] },
    { of: "a follower's network", steps: { ways: { "broker-1 broker-3": [40, 41] } }, is: ["broker-3", "network"] },
    {
      of: "the leader's network",
      steps: {
        ways: { "gateway-1 broker-1": [40, 42], "broker-1 broker-2": [41, 40], "broker-1 broker-3": [39, 42] },
      },
      is: ["broker-1", "network"],
    },
    {
      of: "a leader that was stopped when it was called",
      steps: { ways: { "gateway-1 broker-1": [900, 1] } },
      is: ["broker-1", "process"],
    },
    {
      of: "a leader that was stopped while its followers worked",
      steps: { ways: { "broker-1 broker-2": [1, 900], "broker-1 broker-3": [1, 900] } },
      is: ["broker-1", "process"],
    },
    {
      of: "a follower that was stopped",
      steps: { ways: { "broker-1 broker-2": [900, 1] } },
      is: ["broker-2", "process"],
    },
    {
      of: "a gateway that has too much to do",
      steps: { ways: { "client gateway-1": [120, 20], "gateway-1 broker-1": [15, 90] } },
      is: ["gateway-1", "process"],
    },
  ] as const)("$of", ({ steps, is }) => {
    expect(culprit(several(() => produce(steps as Steps)))).toEqual(is);
  });

  test.each([
    { of: "disk", steps: { flushes: { "broker-2": 80 } } },
    { of: "network", steps: { ways: { "broker-1 broker-3": [40, 41] } } },
  ] as const)("no follower's $of where its leader's flush alone was waited for", ({ steps }) => {
    expect(explainTraces(several(() => produce({ ...(steps as Steps), acks: "leader" })))).toEqual([]);
  });

  test.each([
    { of: "that had it long behind the ack", ms: [1, 9000], receive: [8000, 8990] },
    { of: "that began with it behind the ack", ms: [50, 9000], receive: [8000, 8990] },
    { of: "that never had it", ms: [1, 30_000], receive: undefined },
  ] as const)("no follower out of sync $of", ({ ms, receive }) => {
    expect(explainTraces(several(() => withLate({ ms, receive, acked: 4 })))).toEqual([]);
  });

  test("a follower that was waited for in vain, for as long as that was", () => {
    const [first] = explainTraces(withLate({ ms: [1, 9000], receive: [8000, 8990], acked: 1000 }));
    expect([first?.process, first?.part, first?.ms]).toEqual(["broker-4", "process", 999]);
  });

  test("a follower that was at work on it, for as long as that was waited for", () => {
    const [first] = explainTraces(withLate({ ms: [1, 9000], receive: [2, 8990], acked: 1000 }));
    expect([first?.process, first?.part, first?.ms]).toEqual(["broker-4", "disk", 998]);
  });

  test("nobody where it was not slow", () => {
    expect(explainTraces(several(() => produce()))).toEqual([]);
  });

  test("whoever was called and left no span", () => {
    const ms = [0, 2000] as const;
    const attributes = { "tidemark.leader": 2 };
    const route = span({ name: "gateway route", process: "gateway-1", ms, attributes, error: "UNAVAILABLE" });
    expect(culprit([route])).toEqual(["broker-2", "process"]);
  });

  test("nobody where a failure was recorded that nothing sampled: its leader had been told to record nothing", () => {
    const [ms, attributes] = [[0, 2000] as const, { "tidemark.leader": 2 }];
    const route = span({ name: "gateway route", process: "gateway-1", ms, attributes, error: "NOT_ENOUGH_REPLICAS" });
    const links = [{ traceId: "a".repeat(32), spanId: "b".repeat(16) }];
    expect(explainTraces([{ ...route, links }])).toEqual([]);
    // Without a caller the leader's part leads to the gateway's.
    const served = span({ name: "broker produce", process: "broker-2", ms: [1, 2], error: "NOT_ENOUGH_REPLICAS" });
    expect(explainTraces([route, { ...served, links: [route] }])).toEqual([]);
  });
});

/** An election by a broker's silence; its batch is committed after so long. */
function election(steps: { readonly silentMs: number; readonly commitMs: number; readonly cause: string }) {
  const { silentMs, commitMs, cause } = steps;
  const process = "controller-1";
  const end = silentMs + commitMs;
  const root = span({ name: "election", process, ms: [0, end] });
  const broker = { "tidemark.broker": 2, "tidemark.cause": cause, "tidemark.last_heartbeat_ms": silentMs };
  const backend = { "tidemark.backend": "etcd" };
  const batch = span({ parent: root, name: "commit batch", process, ms: [silentMs, end], attributes: backend });
  return [
    root,
    span({ parent: root, name: "session end", process, ms: [0, end], attributes: broker }),
    batch,
    span({ parent: batch, name: "etcd transaction", process, ms: [silentMs, end], attributes: backend }),
  ];
}

describe("an election is laid to", () => {
  it.each(["session timeout", "connection lost"])("the broker whose session ended: %s", (cause) => {
    expect(culprit(election({ silentMs: 6000, commitMs: 3, cause }))).toEqual(["broker-2", "process"]);
  });

  it("nobody's process where a broker said that it stops", () => {
    expect(explainTraces(election({ silentMs: 200, commitMs: 3, cause: "shutdown" }))).toEqual([]);
  });

  /** A broker is waited for five seconds. */
  function toldLate(error: string | undefined): readonly TraceSpan[] {
    const spans = election({ silentMs: 200, commitMs: 3, cause: "shutdown" });
    const attributes = { "tidemark.broker": 3 };
    const failed = error === undefined ? {} : { error };
    const process = "controller-1";
    return [...spans, span({ parent: spans[0], name: "publish", process, ms: [0, 5000], attributes, ...failed })];
  }

  it.each([
    [undefined, "broker-3 had the new metadata after 5000.0 ms"],
    ["UNAVAILABLE", "broker-3 did not have the new metadata after 5000.0 ms"],
  ])("the broker that took it late, or in no time that anybody waited for (error: %s)", (error, text) => {
    const [first] = explainTraces(toldLate(error));
    expect(first).toMatchObject({ process: "broker-3", part: "process", evidence: [{ text }] });
  });

  it("no broker that somebody else than a deposed controller told", () => {
    expect(explainTraces(toldLate("NOT_CONTROLLER"))).toEqual([]);
  });

  it("etcd where the commit took longer than the broker was silent", () => {
    expect(culprit(election({ silentMs: 300, commitMs: 4000, cause: "connection lost" }))).toEqual([
      "etcd",
      "consensus backend",
    ]);
  });
});

describe("a change of the ISR is laid to", () => {
  const shrink = (waitedMs: number, lagMs: number) =>
    span({
      name: "isr shrink",
      process: "broker-1",
      ms: [0, waitedMs],
      attributes: { "tidemark.follower": "3", "tidemark.lag_ms": lagMs, "tidemark.last_fetch_ms": 9990 },
    });

  it("the follower that fell behind", () => {
    expect(culprit([shrink(4, 10_020)])).toEqual(["broker-3", "process"]);
  });

  it("the controllers' store where their word was waited for longer", () => {
    expect(culprit([shrink(30_000, 10_020)])).toEqual(["controllers", "consensus backend"]);
  });
});

it("what was found is told with the spans by which it is seen, the longest first", () => {
  const spans = [...produce({ flushes: { "broker-2": 50 } }), ...produce({ flushes: { "broker-2": 90 } })];
  expect(explainTraces(spans)[0]?.evidence.map(({ text }) => text)).toEqual([
    "flush on broker-2: 90.0 ms, of it 90.0 ms fdatasync",
    "flush on broker-2: 50.0 ms, of it 50.0 ms fdatasync",
  ]);
});
