/** When the spans of an election begin and end, and what they say of one that failed. Times are of the monotonic clock. */
import {
  brokerEpoch,
  brokerId,
  controllerEpoch,
  leaderEpoch,
  partitionIndex,
  type Revision,
  revision,
  topicId,
} from "@tidemark/ids";
import type { ElectionEvent, MetadataEvent, SessionEndCause } from "@tidemark/metadata";
import { createManualTime } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import type { ControllerEvent } from "../events/controller-events.ts";
import { keepSpans } from "../testing/kept-telemetry.ts";
import { createCommitContext } from "./commit-context.ts";
import { createElectionTracer } from "./election-tracer.ts";

const wallMs = 1_700_000_000_000;
const [one, two, three] = [brokerId(1), brokerId(2), brokerId(3)];
const epoch = controllerEpoch(4);
const command = "end sessions";

const msOf = ([seconds, nanos]: readonly [number, number]) => seconds * 1000 + nanos / 1e6 - wallMs;

/** A controller that tells two brokers, whose spans are kept when they end. */
async function setup() {
  const time = createManualTime(wallMs);
  const { spans, telemetry } = await keepSpans(time);
  const { tracer } = telemetry;
  const commit = createCommitContext();
  const brokers = () => [two, three];
  const { onEvent: tell } = createElectionTracer({ tracer, runtime: time, backend: "twin", commit, brokers });
  const told = () =>
    spans.map(({ name, startTime, endTime, attributes, status }) => {
      const whose = attributes["tidemark.leader"] ?? attributes["tidemark.broker"];
      const error = status.message === undefined ? [] : [status.message];
      return [name, whose, msOf(startTime), msOf(endTime), ...error];
    });
  return { time, spans, commit, tell, told };
}

type Setup = Awaited<ReturnType<typeof setup>>;

const until = ({ time }: Setup, ms: number) => time.advance(ms - time.clock.monotonicMs());

const elected = (newLeader: typeof two, index: number): ElectionEvent => ({
  kind: "elected",
  topicId: topicId("00000000-0000-4000-8000-000000000001"),
  topic: "t",
  partition: partitionIndex(index),
  cause: "connection lost",
  rule: "isr",
  oldLeader: one,
  newLeader,
  leaderEpoch: leaderEpoch(2),
  isr: [two, three],
  elr: [],
});

const sessionEnded = (cause: SessionEndCause): MetadataEvent => ({
  kind: "sessionEnded",
  brokerId: one,
  brokerEpoch: brokerEpoch(7),
  cause,
});

const over = (cause: SessionEndCause, silentMs: number): ControllerEvent => ({
  kind: "sessionOver",
  brokerId: one,
  cause,
  silentMs,
});

const committing = (events: readonly MetadataEvent[], durationMs = 0): ControllerEvent => ({
  kind: "committing",
  command,
  epoch,
  events,
  durationMs,
});

const batch = { batch: 1, batches: 1, changes: 3 } as const;
const batchCommitting: ControllerEvent = { kind: "batchCommitting", ...batch };
const batchCommitted = (at: Revision): ControllerEvent => ({
  kind: "batchCommitted",
  command,
  epoch,
  ...batch,
  revision: at,
  durationMs: 0,
});
const decided = (events: readonly MetadataEvent[], at: Revision): ControllerEvent => ({
  kind: "decided",
  command,
  epoch,
  revision: at,
  events,
});
const published = (to: typeof two, at: Revision): ControllerEvent => ({
  kind: "published",
  brokerId: to,
  revision: at,
});

const seven = revision(7n);

/** Everything up to the commit, at once. */
function commitAll({ tell }: Setup, events: readonly MetadataEvent[], at = seven): void {
  for (const event of [committing(events), batchCommitting, batchCommitted(at), decided(events, at)]) tell(event);
}

describe("an election by a lost connection", () => {
  it("lasts from the loss until every broker was told, and each partition until its leader was", async () => {
    const s = await setup();
    const events = [sessionEnded("connection lost"), elected(two, 0), elected(three, 1)];
    await until(s, 1000);
    s.tell({ kind: "connectionLost", brokerId: one });
    await until(s, 1300);
    s.tell(over("connection lost", 900));
    await until(s, 1310);
    s.tell(committing(events, 4));
    s.tell(batchCommitting);
    await until(s, 1320);
    s.tell(batchCommitted(seven));
    s.tell(decided(events, seven));
    await until(s, 1330);
    s.tell(published(two, seven));
    await until(s, 1350);
    s.tell(published(three, seven));
    expect(s.told()).toEqual([
      ["decide", undefined, 1306, 1310],
      ["session end", 1, 1000, 1320],
      ["commit batch", undefined, 1310, 1320],
      ["publish", 2, 1320, 1330],
      ["partition", 2, 1310, 1330],
      ["publish", 3, 1320, 1350],
      ["partition", 3, 1310, 1350],
      ["election", 1, 1000, 1350],
    ]);
    const [sessionEnd] = s.spans.filter(({ name }) => name === "session end");
    expect(sessionEnd?.attributes).toMatchObject({ "tidemark.last_heartbeat_ms": 906, "tidemark.revision": 7 });
    // Nothing waits for brokers that were told.
    expect(s.time.pending()).toBe(0);
  });
});

describe("an election by silence", () => {
  it("begins with the last heartbeat, whatever connections were lost before", async () => {
    const s = await setup();
    await until(s, 500);
    s.tell({ kind: "connectionLost", brokerId: one });
    await until(s, 7000);
    s.tell(over("session timeout", 6000));
    commitAll(s, [sessionEnded("session timeout"), elected(two, 0)]);
    expect(s.told()).toContainEqual(["session end", 1, 1000, 7000]);
  });

  it("has nothing to do with the next one of that broker, which comes of a registration", async () => {
    const s = await setup();
    await until(s, 7000);
    s.tell(over("session timeout", 6000));
    commitAll(s, [sessionEnded("session timeout"), elected(two, 0)]);
    await until(s, 20_000);
    commitAll(s, [sessionEnded("registration"), elected(three, 0)], revision(9n));
    const ends = s.told().filter(([name]) => name === "session end");
    expect(ends[1]).toEqual(["session end", 1, 20_000, 20_000]);
  });
});

describe("a broker", () => {
  it("is told of an election once, and not by what was committed before it", async () => {
    const s = await setup();
    commitAll(s, [elected(two, 0)]);
    for (const at of [6n, 7n, 8n]) {
      await until(s, Number(at) * 100);
      s.tell(published(two, revision(at)));
    }
    expect(s.told().filter(([name]) => name === "publish")).toEqual([["publish", 2, 0, 700]]);
  });

  it("that takes the new metadata in no time that anybody waits for is told to have failed to", async () => {
    const s = await setup();
    commitAll(s, [elected(two, 0)]);
    await until(s, 20);
    s.tell(published(two, seven));
    await until(s, 6000);
    expect(s.told().slice(2)).toEqual([
      ["publish", 2, 0, 20],
      ["partition", 2, 0, 20],
      ["publish", 3, 0, 5000, "UNAVAILABLE"],
      ["election", undefined, 0, 5000],
    ]);
  });
});

describe("a broker that a controller cannot tell any more, being active no longer,", () => {
  const deactivated: ControllerEvent = { kind: "deactivated", epoch, why: "the store says that leadership ended" };

  it("is told to be another one's from then on", async () => {
    const s = await setup();
    commitAll(s, [elected(two, 0)]);
    await until(s, 20);
    s.tell(published(two, seven));
    await until(s, 50);
    s.tell(deactivated);
    expect(s.told().slice(2)).toEqual([
      ["publish", 2, 0, 20],
      ["partition", 2, 0, 20],
      ["publish", 3, 0, 50, "NOT_CONTROLLER"],
      ["election", undefined, 0, 50],
    ]);
    expect(s.time.pending()).toBe(0);
  });

  it("is so at once where the commit is known only then, and not what a later term tells", async () => {
    const s = await setup();
    s.tell(committing([elected(two, 0)]));
    s.tell(batchCommitting);
    await until(s, 50);
    s.tell(deactivated);
    await until(s, 60);
    s.tell(batchCommitted(seven));
    s.tell(decided([elected(two, 0)], seven));
    expect(s.told().slice(2)).toEqual([
      ["publish", 2, 60, 60, "NOT_CONTROLLER"],
      ["publish", 3, 60, 60, "NOT_CONTROLLER"],
      ["partition", 2, 0, 60],
      ["election", undefined, 0, 60],
    ]);
    const nextEpoch = controllerEpoch(5);
    const nine = revision(9n);
    const next = [committing([elected(three, 0)]), batchCommitting, batchCommitted(nine), decided([], nine)];
    for (const event of next) s.tell({ ...event, epoch: nextEpoch } as ControllerEvent);
    await until(s, 70);
    for (const broker of [two, three]) s.tell(published(broker, nine));
    const later = s.told().filter(([name, , startMs]) => name === "publish" && startMs === 60);
    expect(later.slice(2)).toEqual([
      ["publish", 2, 60, 70],
      ["publish", 3, 60, 70],
    ]);
    expect(s.time.pending()).toBe(0);
  });
});

describe("an election whose commit fails", () => {
  it("ends in all of its parts with the reason, and nothing hangs below its batch any more", async () => {
    const s = await setup();
    s.tell(committing([sessionEnded("shutdown"), elected(two, 0)]));
    s.tell(batchCommitting);
    expect(s.commit.parent).toBeDefined();
    await until(s, 30);
    s.tell({ kind: "commandFailed", command, reason: "NOT_CONTROLLER", message: "another one is" });
    expect(s.commit.parent).toBeUndefined();
    expect(s.told()).toEqual([
      ["decide", undefined, 0, 0],
      ["commit batch", undefined, 0, 30, "NOT_CONTROLLER"],
      ["session end", 1, 0, 30, "NOT_CONTROLLER"],
      ["partition", 2, 0, 30, "NOT_CONTROLLER"],
      ["election", 1, 0, 30, "NOT_CONTROLLER"],
    ]);
    expect(s.time.pending()).toBe(0);
  });
});

it("what the store does hangs below a batch while that is committed, and below no other time", async () => {
  const { commit, tell, spans } = await setup();
  tell(committing([elected(two, 0)]));
  expect(commit.parent).toBeUndefined();
  tell(batchCommitting);
  const parent = commit.parent;
  tell(batchCommitted(seven));
  expect(commit.parent).toBeUndefined();
  const [batchSpan] = spans.filter(({ name }) => name === "commit batch");
  expect(parent?.spanId).toBe(batchSpan?.spanContext().spanId);
  // Nobody lost a leader by this: what the store does for it is other work.
  tell(decided([elected(two, 0)], seven));
  tell(committing([]));
  tell(batchCommitting);
  expect(commit.parent).toBeUndefined();
});
