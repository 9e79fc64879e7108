/**
 * What goes wrong where etcd is used in the way that first comes to mind. Each trap is a course of events that keeps its
 * promise with all guards, and breaks it without the one that it is about.
 */
import { allCandidateGuards, type CandidateGuards } from "@tidemark/consensus";
import { type CandidateNumber, type Watched, watchProcess } from "@tidemark/consensus/contract";
import { type ControllerEpoch } from "@tidemark/ids";
import { createManualTime, createSeededRandom, type Random } from "@tidemark/runtime";
import { describe, expect, test } from "vitest";
import type { EtcdEvent } from "./events.ts";
import { allEtcdGuards, type EtcdGuards } from "./guards.ts";
import { createSimulatedEtcd, type SimulatedEtcd } from "./simulated/simulated-etcd.ts";
import { EtcdError, type EtcdMembers, type WatchResponse } from "./stubs.ts";
import { createEtcdCluster, type EtcdCluster } from "./testing/contract-cluster.ts";

interface Course {
  readonly etcd: SimulatedEtcd;
  readonly cluster: EtcdCluster;
  readonly events: readonly EtcdEvent[];
  /** Breaks a candidate's watch behind the first response for which this holds. */
  breakWatchBehind(isLast: (response: WatchResponse) => boolean): void;
  join(candidate: CandidateNumber): Promise<Watched>;
  leading(process: Watched): Promise<ControllerEpoch>;
  append(process: Watched, epoch: ControllerEpoch, key: string, value?: string): Promise<string>;
  advance(ms: number): Promise<void>;
}

interface Naive {
  readonly guards?: Partial<EtcdGuards>;
  readonly candidateGuards?: Partial<CandidateGuards>;
  readonly random?: Random;
}

interface Trap {
  readonly says: string;
  readonly naive: Naive;
  /** What is wrong at the end. Empty: the promise was kept. */
  readonly course: (course: Course) => Promise<readonly unknown[]>;
}

const traps: readonly Trap[] = [
  {
    says: "34c the fence is /append, not the revision at which /controller was created: that stays when it is overwritten",
    naive: { guards: { fenceOnValue: false } },
    async course(c) {
      const [first, second] = [await c.join(1), await c.join(2)];
      const epoch = await c.leading(first);
      const late = c.cluster.delayNextRequest(1, "silence");
      const appending = c.append(first, epoch, "/test/stuck");
      await settled(c, late.sent);
      c.cluster.stall(1);
      await c.cluster.plant("/controller", Buffer.from(JSON.stringify({ controllerId: -1, controllerEpoch: epoch })), {
        heldBy: 2,
      });
      await c.leading(second);
      await late.arrive();
      await c.advance(100);
      c.cluster.resume(1);
      const outcome = await settled(c, appending);
      return [...writesOf(second, "/test/stuck"), ...(outcome === "committed" ? [outcome] : [])];
    },
  },
  {
    says: "34b an attempt tells one's own write from another of the same sequence: else the other's arrival looks like its own",
    naive: { random: { next: () => 0.5, bytes: (length) => new Uint8Array(length) } },
    async course(c) {
      const first = await c.join(1);
      const epoch = await c.leading(first);
      const late = c.cluster.delayNextRequest(1);
      await c.append(first, epoch, "/test/stuck");
      const next = c.cluster.delayNextRequest(1);
      const appending = c.append(first, epoch, "/test/next");
      await settled(c, next.sent);
      await late.arrive();
      const outcome = await settled(c, appending);
      await c.advance(1_000);
      return outcome === "committed" && writesOf(first, "/test/next").length === 0 ? [outcome] : [];
    },
  },
  {
    says: "34b an answer that is read back too early says nothing: the write is refused and yet applied",
    naive: { candidateGuards: { takeLostPlace: false } },
    async course(c) {
      const first = await c.join(1);
      const epoch = await c.leading(first);
      const late = c.cluster.delayNextRequest(1);
      const appending = c.append(first, epoch, "/test/stuck");
      await settled(c, late.sent);
      const second = c.cluster.delayNextRequest(1);
      await settled(c, second.sent);
      await late.arrive();
      await second.arrive();
      const outcome = await settled(c, appending);
      await c.advance(1_000);
      return outcome === "refused" ? writesOf(first, "/test/stuck") : [];
    },
  },
  {
    says: "34e a watch that broke within a revision is resumed before that revision, or half of it is lost",
    naive: { guards: { resumeBehindWholeRevision: false } },
    course: (c) => brokenWatch(c, ({ fragment }) => fragment),
  },
  {
    says: "28 the header's revision is ahead of the events: a watch that is resumed there loses what lies between",
    naive: { guards: { resumeByEvents: false } },
    course: (c) => brokenWatch(c, ({ revision, events }) => (events.at(-1)?.modRevision ?? revision) < revision),
  },
  {
    says: "30 belief counts from when a renewal was sent, or it outlives the lease",
    naive: { guards: { believeFromSending: false } },
    async course(c) {
      const [first, second] = [await c.join(1), await c.join(2)];
      await c.leading(first);
      // Renewals arrive at etcd, and their answers take long.
      c.cluster.holdAnswers(1);
      await c.advance(1_500);
      c.cluster.releaseAnswers(1);
      c.cluster.cut(1);
      let believed: readonly string[] = [];
      await c.cluster.until(() => {
        const elected = second.belief().kind === "leading";
        if (elected && first.belief().kind === "leading") believed = ["two leaders believe"];
        return elected;
      }, "the second is elected");
      return believed;
    },
  },
  {
    says: "a barrier waits for deletions, too: else a candidate asks again and again until its watch has caught up",
    naive: { guards: { awaitDeletions: false } },
    async course(c) {
      await c.join(1);
      await c.join(2);
      c.cluster.kill(2);
      const again = watchProcess(2, await c.cluster.start(2));
      await c.cluster.until(() => again.tree.has("/controllers/2"), "it sees its ghost");
      c.cluster.holdWatch(2);
      await c.advance(3_000);
      const before = c.events.length;
      const joining = again.consensus.join(c.cluster.identity(2));
      await c.advance(500);
      const asked = c.events.slice(before).filter(({ kind }) => kind === "transaction").length;
      c.cluster.releaseWatch(2);
      await settled(c, joining);
      again.stop();
      return asked > 3 ? [`${asked} transactions`] : [];
    },
  },
];

describe("the traps of etcd", () => {
  test.each(traps)("$says", async ({ naive, course }) => {
    expect(await run({}, course)).toEqual([]);
    expect(await run(naive, course)).not.toEqual([]);
  });
});

async function run(naive: Naive, course: Trap["course"]): Promise<readonly unknown[]> {
  const time = createManualTime();
  const runtime = { ...time, random: createSeededRandom(7) };
  const etcd = createSimulatedEtcd({ runtime, watch: { partRevisions: 10, fragmentBytes: 2_000, partDelayMs: 20 } });
  const events: EtcdEvent[] = [];
  const breaking = breakingMembers(etcd.members);
  const cluster = createEtcdCluster({
    runtime: { ...runtime, random: naive.random ?? runtime.random },
    settings: { prefix: "/traps", leaseMs: 2_000, renewalMs: 500, compaction: undefined },
    etcd: { members: breaking.members, powerCut: async () => etcd.powerCut() },
    turn: () => time.advance(5),
    guards: { ...allEtcdGuards, ...naive.guards },
    candidateGuards: { ...allCandidateGuards, ...naive.candidateGuards },
    onEvent: (event) => events.push(event as EtcdEvent),
  });
  const processes: Watched[] = [];
  const c: Course = {
    etcd,
    cluster,
    events,
    breakWatchBehind: breaking.breakBehind,
    async join(candidate) {
      const process = watchProcess(candidate, await cluster.start(candidate));
      processes.push(process);
      await settled(c, process.consensus.join(cluster.identity(candidate)));
      if (candidate === 1) await c.leading(process);
      return process;
    },
    async leading(process) {
      await cluster.until(() => process.belief().kind === "leading", `candidate ${process.candidate} leads`);
      const belief = process.belief();
      if (belief.kind !== "leading") throw new Error("It leads no more");
      return belief.epoch;
    },
    async append(process, epoch, key, value = "1") {
      const change = { kind: "put", key, value: Uint8Array.from(Buffer.from(value)) } as const;
      return (await settled(c, process.consensus.append(epoch, [change]))).kind;
    },
    advance: (ms) => time.advance(ms),
  };
  try {
    const wrong = await course(c);
    return [...wrong, ...processes.flatMap(({ violations }) => violations)];
  } finally {
    for (const process of processes) process.stop();
    await cluster.close();
    etcd.close();
  }
}

/** A candidate that missed a backlog resumes its watch, which breaks once. Wrong is what its tree lacks then. */
async function brokenWatch(c: Course, isLast: (response: WatchResponse) => boolean): Promise<readonly unknown[]> {
  const [first, second] = [await c.join(1), await c.join(2)];
  const epoch = await c.leading(first);
  c.cluster.cut(2);
  for (let n = 0; n < 40; n++) await c.append(first, epoch, `/test/${n}`, "x".repeat(300));
  c.breakWatchBehind(isLast);
  c.cluster.heal(2);
  await c.advance(2_000);
  await c.append(first, epoch, "/test/last");
  await c.cluster.until(() => second.tree.has("/test/last"), "the second has caught up");
  return [...first.tree.keys()].filter((key) => key.startsWith("/test/") && !second.tree.has(key));
}

function breakingMembers(members: EtcdMembers) {
  let isLast: ((response: WatchResponse) => boolean) | undefined;
  const breaking: EtcdMembers = {
    endpoints: members.endpoints,
    connect(endpoint) {
      const stubs = members.connect(endpoint);
      return {
        ...stubs,
        watch(request, handlers) {
          const stream = stubs.watch(request, {
            onEnd: handlers.onEnd,
            onMessage(response) {
              handlers.onMessage(response);
              if (response.events.length === 0 || isLast?.(response) !== true) return;
              isLast = undefined;
              stream.close();
              handlers.onEnd(new EtcdError("LOST", "the connection broke"));
            },
          });
          return stream;
        },
      };
    },
  };
  return {
    members: breaking,
    breakBehind(condition: (response: WatchResponse) => boolean) {
      isLast = condition;
    },
  };
}

async function settled<Value>({ cluster }: Course, promise: Promise<Value>): Promise<Value> {
  let isSettled = false;
  const settle = () => {
    isSettled = true;
  };
  promise.then(settle, settle);
  await cluster.until(() => isSettled, "it settles");
  return promise;
}

function writesOf(process: Watched, key: string): readonly string[] {
  return [...process.batches.values()].flatMap((changes) =>
    changes.some((change) => change.key === key) ? [key] : [],
  );
}
