import { brokerId, leaderEpoch, offset, partitionEpoch, partitionIndex, topicId } from "@tidemark/ids";
import type { TraceEvent } from "@tidemark/replication";
import { createManualTime } from "@tidemark/runtime";
import { createLogger, type SpanEnd, type SpanStart, type Tracer } from "@tidemark/telemetry";
import { describe, expect, it } from "vitest";
import { createPartitionEvents } from "./partition-events.ts";

const place = {
  topic: "t",
  topicId: topicId("00000000-0000-4000-8000-000000000001"),
  index: partitionIndex(0),
};
const traceId = "0af7651916cd43dd8448eb211c80319c";
const spanId = "b7ad6b7169203331";
const [one, two, three] = [brokerId(1), brokerId(2), brokerId(3)];

/** Records spans that are over; draws no lots, as what is always recorded asks for none. */
function setup() {
  const time = createManualTime();
  const spans: (SpanStart & SpanEnd)[] = [];
  const lines: string[] = [];
  const now = () => time.clock.monotonicMs();
  const context = { traceId, spanId, sampled: true, traceState: undefined };
  const tracer: Pick<Tracer, "enabled" | "start" | "record"> = {
    enabled: true,
    start(given) {
      const startMs = now();
      let attributes = given.attributes ?? {};
      return {
        context,
        set: (more) => (attributes = { ...attributes, ...more }),
        link: () => undefined,
        event: () => undefined,
        end: (end = {}) => spans.push({ startMs, endMs: now(), ...given, ...end, attributes }),
      };
    },
    record(span) {
      spans.push(span);
      return context;
    },
  };
  const logger = createLogger({
    clock: time.clock,
    level: "info",
    service: "s",
    instanceId: "i",
    write: (line) => lines.push(line),
  });
  const events = createPartitionEvents({ tracer: tracer as Tracer, clock: time.clock, logger });
  const take = (event: TraceEvent, at = place) => events.take(at, event, () => standing);
  /** Tells of an election before its partition learns of it. */
  const elect = (partition: number, epoch: number, electionSpanId = "00f067aa0ba902b7") => {
    const traceparent = `00-${traceId}-${electionSpanId}-01`;
    const context = { topicId: place.topicId, partition, leaderEpoch: epoch, traceparent };
    events.noteElections([{ $typeName: "tidemark.cluster.v1.ElectionContext", ...context }]);
  };
  const leave = () => {
    events.leave(place);
  };
  return { time, spans, lines, take, elect, leave };
}

/** Of any follower. */
const standing = { lagMs: 10_012.4, lagRecords: 3, lastFetchMs: 9000.2 };

const became = (epoch: number): TraceEvent => ({
  kind: "becameLeader",
  leaderEpoch: leaderEpoch(epoch),
  epochStart: offset(7n),
  highWatermark: offset(5n),
});
const proposed = (to: (typeof one)[], again = false): TraceEvent => ({
  kind: "isrProposed",
  from: [one, two, three],
  to,
  reason: "3 not caught up for 10012 ms",
  partitionEpoch: partitionEpoch(4),
  again,
});
const committed = (isr: (typeof one)[]): TraceEvent => ({
  kind: "isrCommitted",
  isr,
  elr: [],
  minIsr: 2,
  partitionEpoch: partitionEpoch(5),
});

describe("a change of the ISR", () => {
  it("is a span from the proposal to its commit, with who left, why, and how often it was asked for", async () => {
    const { time, spans, lines, take } = setup();
    take(proposed([one, two]));
    await time.advance(1000);
    take(proposed([one, two], true));
    await time.advance(5);
    take(committed([one, two]));
    expect(spans).toMatchObject([
      {
        name: "isr shrink",
        parent: undefined,
        startMs: 0,
        endMs: 1005,
        attributes: {
          "messaging.destination.name": "t",
          "tidemark.follower": [3],
          "tidemark.isr": [1, 2],
          "tidemark.attempt": 2,
          "tidemark.cause": "3 not caught up for 10012 ms",
          "tidemark.lag_ms": [10_012],
          "tidemark.lag_records": [3],
          "tidemark.last_fetch_ms": [9000],
        },
      },
    ]);
    expect(lines.join("")).toContain("not caught up");
    for (const line of lines) {
      expect(JSON.parse(line)).toMatchObject({ trace_id: traceId, span_id: spanId });
    }
    expect(lines.length).toBe(2);
  });

  it("says when it was refused, or when its leader ended", () => {
    const { spans, take } = setup();
    take({ ...proposed([one, two, three, brokerId(4)]), from: [one, two, three] } as TraceEvent);
    take({ kind: "proposalSettled", reason: "INELIGIBLE_REPLICA" });
    take(proposed([one, two]));
    take({ kind: "resigned", reason: "the session was lost" });
    take(committed([one, two]));
    expect(spans.map(({ name, error }) => [name, error])).toEqual([
      ["isr expand", "INELIGIBLE_REPLICA"],
      ["isr shrink", "NOT_LEADER"],
    ]);
  });

  it("ends where the leader proposes something else in its place, as when its refusal settles nothing", () => {
    const { spans, take } = setup();
    take(proposed([one, two]));
    take({ kind: "proposalUnsettled", reason: "INELIGIBLE_REPLICA with an attempt unanswered" });
    take(proposed([one, two, three]));
    take(committed([one, two, three]));
    expect(spans.map(({ name, error }) => [name, error])).toEqual([["isr shrink", "SUPERSEDED"]]);
  });
});

describe("a new leader", () => {
  it("is a span below its partition's election, to the first append and no further", async () => {
    const { time, spans, take, elect } = setup();
    elect(0, 3);
    take(became(3));
    await time.advance(20);
    take({ kind: "appended", baseOffset: offset(7n), endOffset: offset(8n) });
    take({ kind: "appended", baseOffset: offset(8n), endOffset: offset(9n) });
    expect(spans).toMatchObject([
      {
        name: "become leader",
        parent: { traceId, spanId: "00f067aa0ba902b7", sampled: true },
        startMs: 0,
        endMs: 20,
        attributes: { "tidemark.leader_epoch": 3, "tidemark.epoch_start_offset": 7n },
      },
    ]);
  });

  it("has no parent where the election is of another leader epoch", () => {
    const { spans, take, elect } = setup();
    elect(0, 3);
    take(became(4));
    take({ kind: "becameFollower", leader: two, leaderEpoch: leaderEpoch(5), logEnd: offset(7n) });
    expect(spans).toMatchObject([{ name: "become leader", parent: undefined }]);
  });

  it.each<TraceEvent>([
    { kind: "becameFollower", leader: two, leaderEpoch: leaderEpoch(4), logEnd: offset(7n) },
    { kind: "leaderless", leaderEpoch: leaderEpoch(4) },
    { kind: "resigned", reason: "the session was lost" },
    { kind: "offline", reason: "the directory failed" },
    became(4),
  ])("is told also where it ends before anything was produced, and so is what it asked for: $kind", (event) => {
    const { spans, take, elect } = setup();
    elect(0, 3);
    take(became(3));
    take(proposed([one, two]));
    take(event);
    const parent = { traceId, spanId: "00f067aa0ba902b7" };
    expect(spans).toMatchObject([
      { name: "isr shrink", error: "NOT_LEADER" },
      { name: "become leader", parent, attributes: { "tidemark.leader_epoch": 3 } },
    ]);
    expect(spans).toHaveLength(2);
  });

  it("is told, with what it asked for, once where the partition leaves its broker, of which no event tells", () => {
    const { spans, take, elect, leave } = setup();
    elect(0, 3);
    take(became(3));
    take(proposed([one, two]));
    leave();
    leave();
    expect(spans.map(({ name, error }) => [name, error])).toEqual([
      ["isr shrink", "NOT_LEADER"],
      ["become leader", undefined],
    ]);
  });

  it("is below its own election each time, also where it leads anew before anything was produced", () => {
    const { spans, take, elect } = setup();
    elect(0, 3, "1111111111111111");
    take(became(3));
    elect(0, 4, "2222222222222222");
    take(became(4));
    take({ kind: "appended", baseOffset: offset(7n), endOffset: offset(8n) });
    expect(spans.map(({ parent }) => parent?.spanId)).toEqual(["1111111111111111", "2222222222222222"]);
  });

  it("keeps its election while it waits for a produce, whatever other elections are told of", () => {
    const { spans, take, elect } = setup();
    elect(0, 3);
    take(became(3));
    for (let partition = 1; partition <= 10_001; partition++) elect(partition, 3);
    take({ kind: "appended", baseOffset: offset(7n), endOffset: offset(8n) });
    expect(spans.map(({ parent }) => parent?.spanId)).toEqual(["00f067aa0ba902b7"]);
  });

  it("of a partition that was not heard of since has no parent, when ten thousand elections came after: said once", () => {
    const { spans, lines, take, elect, leave } = setup();
    // Nothing is forgotten for a partition that has left.
    elect(0, 2);
    leave();
    for (let partition = 1; partition <= 10_000; partition++) elect(partition, 3);
    expect(lines).toEqual([]);
    for (const partition of [10_001, 10_002]) elect(partition, 3);
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([expect.objectContaining({ level: "warn" })]);
    for (const index of [2, 3].map(partitionIndex)) {
      take(became(3), { ...place, index });
      take({ kind: "resigned", reason: "the session was lost" }, { ...place, index });
    }
    expect(spans.map(({ parent }) => parent?.spanId)).toEqual([undefined, "00f067aa0ba902b7"]);
  });
});

describe("a cut below the high watermark", () => {
  it("is a warning", () => {
    const { lines, take } = setup();
    take({ kind: "truncated", from: offset(9n), to: offset(3n), belowHighWatermark: true });
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({
      level: "warn",
      topic: "t",
      partition: 0,
      trace_id: traceId,
      span_id: spanId,
    });
  });
});

describe("a cut", () => {
  it("is a span that says from where to where, and whether committed records went", () => {
    const { spans, take } = setup();
    take({ kind: "truncated", from: offset(9n), to: offset(5n), belowHighWatermark: false });
    take({ kind: "restarted", from: offset(5n), at: offset(40n) });
    expect(spans).toMatchObject([
      {
        name: "truncate",
        attributes: {
          "tidemark.truncated.from": 9n,
          "tidemark.truncated.to": 5n,
          "tidemark.truncated.below_high_watermark": false,
        },
      },
      { name: "truncate", attributes: { "tidemark.truncated.from": 5n, "tidemark.truncated.to": 40n } },
    ]);
  });
});
