/**
 * What goes wrong where etcd is used in the way that first comes to mind. Each trap is a course of events that keeps its
 * promise with all guards, and breaks it without the one that it is about.
 */
import { type Watched, watchProcess } from "@tidemark/consensus/contract";
import { describe, expect, test } from "vitest";
import { EtcdError, type EtcdMembers, type WatchResponse } from "./stubs.ts";
import { type Course, type CourseOptions, runCourse } from "./testing/course.ts";

interface TrapCourse extends Course {
  /** Breaks a candidate's watch behind the first response for which this holds. */
  breakWatchBehind(isLast: (response: WatchResponse) => boolean): void;
}

type Naive = Pick<CourseOptions, "guards" | "candidateGuards" | "random">;

interface Trap {
  readonly says: string;
  readonly naive: Naive;
  /** What is wrong at the end. Empty: the promise was kept. */
  readonly course: (course: TrapCourse) => Promise<readonly unknown[]>;
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
      await c.settled(late.sent);
      c.cluster.stall(1);
      await c.cluster.plant("/controller", Buffer.from(JSON.stringify({ controllerId: -1, controllerEpoch: epoch })), {
        heldBy: 2,
      });
      await c.leading(second);
      await late.arrive();
      await c.advance(100);
      c.cluster.resume(1);
      const outcome = await c.settled(appending);
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
      await c.settled(next.sent);
      await late.arrive();
      const outcome = await c.settled(appending);
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
      await c.settled(late.sent);
      const second = c.cluster.delayNextRequest(1);
      await c.settled(second.sent);
      await late.arrive();
      await second.arrive();
      const outcome = await c.settled(appending);
      await c.advance(1_000);
      return outcome === "FENCED" ? writesOf(first, "/test/stuck") : [];
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
      await c.settled(joining);
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
  let breakWatchBehind: TrapCourse["breakWatchBehind"] = () => {};
  const options: CourseOptions = {
    ...naive,
    etcd: { watch: { partRevisions: 10, fragmentBytes: 2_000, partDelayMs: 20 } },
    between(members) {
      const breaking = breakingMembers(members);
      breakWatchBehind = breaking.breakBehind;
      return breaking.members;
    },
  };
  const { value, violations } = await runCourse(options, (c) => course({ ...c, breakWatchBehind }));
  return [...value, ...violations];
}

/** A candidate that missed a backlog resumes its watch, which breaks once. Wrong is what its tree lacks then. */
async function brokenWatch(c: TrapCourse, isLast: (response: WatchResponse) => boolean): Promise<readonly unknown[]> {
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

function writesOf(process: Watched, key: string): readonly string[] {
  return [...process.batches.values()].flatMap((changes) =>
    changes.some((change) => change.key === key) ? [key] : [],
  );
}
