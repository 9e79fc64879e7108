/** How long the ways of a recorded batch to its followers are watched, and from when on. */
import { brokerId, type Offset, offset } from "@tidemark/ids";
import { beforeEach, expect, it } from "vitest";
import { noFetches } from "../replication/replica-exchange.ts";
import type { ReplicaState } from "./replica-state.ts";
import { tick } from "./tick.ts";
import { createTimeline } from "./timeline.ts";
import {
  createWatch,
  followedMax,
  followedMs,
  namedMs,
  noteReport,
  noteSent,
  noteTakenBack,
} from "./watched-batches.ts";

const self = brokerId(1);
const at = (value: number): Offset => offset(BigInt(value));

let nowMs: number;
/** What became of each batch's ways to followers. */
let ways: string[];
let leader: ReplicaState;
beforeEach(() => {
  nowMs = 0;
  ways = [];
  leader = createLeader([1, 2, 3]);
});

function createLeader(isr: readonly number[]): ReplicaState {
  const state: unknown = {
    watched: [],
    heardMs: undefined,
    isOver: false,
    // Nothing but this is due at a tick.
    tickedMs: Number.POSITIVE_INFINITY,
    clients: 0,
    isProposing: false,
    machine: { role: "leader", resumesAtMs: undefined, highWatermark: 0n },
    log: { logEndOffset: 0n },
    metadata: { isr: isr.map(brokerId) },
    shared: { self, clock: { monotonicMs: () => nowMs } },
  };
  return state as ReplicaState;
}

/** A recorded batch of one record. */
function batch(baseOffset: number) {
  const timeline = createTimeline(nowMs, (follower, sentMs) => {
    const way = `${baseOffset} to ${follower}`;
    ways.push(`${way} begins at ${sentMs}`);
    return {
      traceparent: way,
      link: (fetch) => ways.push(`${way} links to ${fetch}`),
      end: (endMs) => ways.push(`${way} ends at ${endMs}`),
    };
  });
  const watch = createWatch(leader, timeline);
  return {
    settled: watch.settled,
    begin: () => {
      watch.begin({ baseOffset: at(baseOffset), recordCount: 1 });
    },
  };
}

/** The ways between the calls, without those before. */
function newWays(): readonly string[] {
  return ways.splice(0);
}

const send = (replica: number, from: number, upTo: number, sentMs = nowMs) =>
  noteSent(leader, { replica: brokerId(replica), from: at(from), upTo: at(upTo), sentMs });

function report(replica: number, flushed: number, start = 0): void {
  const fetch = { traceparent: `fetch ${start}`, startOffset: at(start), endOffset: at(flushed) };
  noteReport(leader, { replica: brokerId(replica), flushed: at(flushed) }, [fetch]);
}

function appended(...baseOffsets: number[]): void {
  for (const baseOffset of baseOffsets) {
    const one = batch(baseOffset);
    one.begin();
    one.settled();
  }
}

it("begins a way with the first answer that carries the whole batch, when its reading began", () => {
  batch(0).begin();
  batch(1).begin();
  nowMs = 5;
  expect(send(2, 0, 1, 4)).toEqual([{ traceparent: "0 to 2", endOffset: 1n }]);
  expect(send(2, 0, 2, 5).map(({ traceparent }) => traceparent)).toEqual(["0 to 2", "1 to 2"]);
  expect(send(2, 2, 2)).toEqual([]);
  expect(newWays()).toEqual(["0 to 2 begins at 4", "1 to 2 begins at 5"]);
});

it("tells a follower of 32 batches of an answer, and follows the others as well", () => {
  for (let index = 0; index < 40; index++) batch(index).begin();
  expect(send(2, 0, 40)).toHaveLength(32);
  expect(newWays()).toHaveLength(40);
});

it("is over behind the ack where every follower in sync has the batch by then", () => {
  const one = batch(0);
  one.begin();
  send(2, 0, 1);
  send(3, 0, 1);
  nowMs = 7;
  report(2, 1);
  nowMs = 8;
  report(3, 1);
  nowMs = 9;
  one.settled();
  expect(newWays().filter((way) => way.includes("ends"))).toEqual(["0 to 2 ends at 7", "0 to 3 ends at 8"]);
  expect(leader.watched).toEqual([]);
});

it("goes on behind an ack that waits for no follower, until each in sync has the batch", () => {
  appended(0);
  nowMs = 3;
  send(2, 0, 1);
  nowMs = 6;
  report(2, 1);
  expect(newWays()).toEqual(["0 to 2 begins at 3", "0 to 2 links to fetch 0"]);
  send(3, 0, 1);
  nowMs = 9;
  report(3, 1);
  expect(newWays()).toEqual(["0 to 3 begins at 6", "0 to 3 links to fetch 0", "0 to 2 ends at 6", "0 to 3 ends at 9"]);
  expect(leader.watched).toEqual([]);
});

it("goes on from the begin where nothing is waited for", () => {
  const one = batch(0);
  one.settled();
  one.begin();
  expect(send(2, 0, 1)).toHaveLength(1);
});

it("waits for the name of the fetch, which may come behind the ack", () => {
  leader = createLeader([1, 2]);
  const one = batch(0);
  one.begin();
  send(2, 0, 1);
  nowMs = 4;
  noteReport(leader, { replica: brokerId(2), flushed: at(1) }, noFetches);
  one.settled();
  expect(newWays()).toEqual(["0 to 2 begins at 0"]);
  nowMs = 5;
  report(2, 1);
  expect(newWays()).toEqual(["0 to 2 links to fetch 0", "0 to 2 ends at 4"]);
});

it("waits no longer for a name that does not come, as of a follower that records nothing", () => {
  leader = createLeader([1, 2]);
  appended(0);
  send(2, 0, 1);
  nowMs = 4;
  noteReport(leader, { replica: brokerId(2), flushed: at(1) }, noFetches);
  nowMs = 4 + namedMs - 1;
  tick(leader, { nowMs, controllerHeardMs: 0 });
  expect(newWays()).toEqual(["0 to 2 begins at 0"]);
  nowMs = 4 + namedMs;
  tick(leader, { nowMs, controllerHeardMs: 0 });
  expect(newWays()).toEqual(["0 to 2 ends at 4"]);
});

it("is over at once where nobody else is in sync", () => {
  leader = createLeader([1]);
  appended(0);
  expect(leader.watched).toEqual([]);
});

it("is over where a follower has nothing to say for long", () => {
  appended(0);
  send(2, 0, 1);
  nowMs = followedMs - 1;
  tick(leader, { nowMs, controllerHeardMs: 0 });
  expect(newWays()).toEqual(["0 to 2 begins at 0"]);
  nowMs = followedMs;
  tick(leader, { nowMs, controllerHeardMs: 0 });
  expect(newWays()).toEqual([`0 to 2 ends at ${followedMs}`]);
  expect(leader.watched).toEqual([]);
});

it("goes on for as long as somebody waits", () => {
  batch(0).begin();
  nowMs = followedMs * 2;
  tick(leader, { nowMs, controllerHeardMs: 0 });
  expect(leader.watched).toHaveLength(1);
});

it("is over with the leadership", () => {
  appended(0);
  send(2, 0, 1);
  Object.assign(leader.machine, { role: "follower" });
  nowMs = 10;
  tick(leader, { nowMs, controllerHeardMs: 0 });
  expect(newWays()).toEqual(["0 to 2 begins at 0", "0 to 2 ends at 10"]);
});

it("is over for the oldest beyond a number of batches", () => {
  appended(...Array.from({ length: followedMax }, (_, index) => index));
  batch(followedMax).begin();
  send(2, 0, 1);
  expect(leader.watched).toHaveLength(followedMax + 1);
  appended(followedMax + 1);
  expect(leader.watched).toHaveLength(followedMax + 1);
  expect(newWays()).toEqual(["0 to 2 begins at 0", "0 to 2 ends at 0"]);
});

it("is over for what the log did not take, of which others take the place", () => {
  const waiting = batch(1);
  appended(0);
  waiting.begin();
  appended(2);
  noteTakenBack(leader, at(1));
  waiting.settled();
  appended(1);
  expect(send(2, 0, 2).map(({ traceparent }) => traceparent)).toEqual(["0 to 2", "1 to 2"]);
  expect(newWays()).toEqual(["0 to 2 begins at 0", "1 to 2 begins at 0"]);
});

it("begins no way before its batch was appended, though the reading had begun by then", () => {
  nowMs = 5;
  batch(0).begin();
  send(2, 0, 1, 3);
  expect(newWays()).toEqual(["0 to 2 begins at 5"]);
});
