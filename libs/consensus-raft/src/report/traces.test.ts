/** Which work of a quorum becomes spans, and from when to when. Times are of the monotonic clock. */
import { logIndex, type NodeId, type RaftEvent, term } from "@tidemark/raft";
import { createManualTime } from "@tidemark/runtime";
import type { SpanEnd, SpanStart, TraceContext, Tracer } from "@tidemark/telemetry";
import { describe, expect, it } from "vitest";
import { createRaftTraces, type WonCampaign } from "./traces.ts";

const node = "node-2" as NodeId;
const context: TraceContext = { traceId: "a".repeat(32), spanId: "b".repeat(16), sampled: true, traceState: undefined };

/** A member of which everything is sampled. */
function setup() {
  const time = createManualTime();
  const spans: (readonly [name: string, startMs: number | undefined, endMs: number, what: unknown])[] = [];
  const won: WonCampaign[] = [];
  const tracer: Pick<Tracer, "samples" | "record"> = {
    samples: () => true,
    record({ name, startMs, attributes }: SpanStart & SpanEnd) {
      const what = attributes?.["tidemark.raft.index"] ?? attributes?.["tidemark.outcome"];
      spans.push([name, startMs, time.clock.monotonicMs(), what]);
      return context;
    },
  };
  const onWon = (campaign: WonCampaign) => won.push(campaign);
  const traces = createRaftTraces({ tracer: tracer as Tracer, clock: time.clock, parent: () => undefined, onWon });
  const tell = (event: RaftEvent) => traces.onEvent({ kind: "raft", event });
  return { time, spans, won, tell };
}

const leads = (of: number): RaftEvent => {
  const last = { index: logIndex(0), term: term(of) };
  return { kind: "becameLeader", term: term(of), last };
};
const follows = (of: number): RaftEvent => ({
  kind: "becameFollower",
  term: term(of),
  leader: node,
  cause: "newerTerm",
});
const campaigns = (of: number): RaftEvent => ({ kind: "becameCandidate", term: term(of), cause: "timeout" });
const appended = (at: number): RaftEvent => {
  const index = logIndex(at);
  return { kind: "appended", from: index, last: { index, term: term(1) } };
};
const flushed = (at: number): RaftEvent => ({ kind: "flushed", index: logIndex(at) });
const committed = (to: number): RaftEvent => ({ kind: "committed", from: logIndex(1), to: logIndex(to) });

describe("entries that a leader appends", () => {
  it("are told up to what was flushed, and up to what was committed, each from its own append", async () => {
    const { time, spans, tell } = setup();
    tell(leads(1));
    tell(appended(1));
    await time.advance(10);
    tell(appended(2));
    await time.advance(10);
    tell(flushed(1));
    expect(spans).toEqual([["raft append", 0, 20, 1]]);
    await time.advance(10);
    tell(committed(1));
    tell(flushed(2));
    tell(committed(2));
    expect(spans.slice(1)).toEqual([
      ["raft quorum", 0, 30, 1],
      ["raft append", 10, 30, 2],
      ["raft quorum", 10, 30, 2],
    ]);
  });

  it("are told by nobody who follows, or leads no more", () => {
    const { spans, tell } = setup();
    for (const event of [appended(1), flushed(1), committed(1)]) tell(event);
    tell(leads(1));
    tell(appended(2));
    tell(follows(2));
    for (const event of [flushed(2), committed(2), leads(3), flushed(2), committed(2)]) tell(event);
    expect(spans).toEqual([]);
  });
});

describe("a snapshot on its way to a follower", () => {
  const sending: RaftEvent = { kind: "snapshotSending", follower: node, snapshot: logIndex(9) };
  const sent: RaftEvent = { kind: "snapshotSent", follower: node, snapshot: logIndex(9) };

  it("is told when the follower has it", async () => {
    const { time, spans, tell } = setup();
    tell(leads(1));
    tell(sending);
    await time.advance(40);
    tell(sent);
    expect(spans).toEqual([["raft snapshot", 0, 40, 9]]);
  });

  it("is not where the leader that sent it leads no more", () => {
    const { spans, tell } = setup();
    tell(leads(1));
    tell(sending);
    tell(follows(2));
    tell(leads(3));
    tell(sent);
    expect(spans).toEqual([]);
  });
});

describe("a campaign", () => {
  it("lasts from the first vote that is asked for, and is handed on where it is won", async () => {
    const { time, spans, won, tell } = setup();
    tell({ kind: "becamePreCandidate", term: term(1), cause: "timeout" });
    await time.advance(30);
    tell(campaigns(2));
    await time.advance(20);
    tell(leads(2));
    expect(won).toMatchObject([{ startMs: 0, endMs: 50, attributes: { "tidemark.raft.term": 2 } }]);
    expect(spans).toEqual([]);
  });

  it("that another one wins is told with what ended it", async () => {
    const { time, spans, won, tell } = setup();
    tell(campaigns(2));
    await time.advance(20);
    tell(follows(3));
    expect(spans).toEqual([["campaign", 0, 20, "newerTerm"]]);
    expect(won).toEqual([]);
  });
});
