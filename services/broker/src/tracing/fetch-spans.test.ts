import { brokerId, offset, partitionIndex, topicId } from "@tidemark/ids";
import { createSeededRandom } from "@tidemark/runtime";
import { createDisabledTracer, type SpanEnd, type SpanStart, type Tracer } from "@tidemark/telemetry";
import { describe, expect, it } from "vitest";
import { createFetchSpans } from "./fetch-spans.ts";

const place = { topic: "t", topicId: topicId("00000000-0000-4000-8000-000000000001"), index: partitionIndex(0) };
const traceId = "0af7651916cd43dd8448eb211c80319c";
const parentOf = (digit: string) => ({ traceId, spanId: digit.repeat(16) });
const traceparentOf = (digit: string) => `00-${traceId}-${digit.repeat(16)}-01`;

function fetchedWith(...traceparents: string[]) {
  return {
    from: offset(4n),
    upTo: offset(9n),
    leader: brokerId(2),
    bytes: 500,
    receivedMs: 100,
    written: { atMs: 104, group: { batches: 2, writeMs: 3, segment: offset(0n), position: 61 } },
    traces: traceparents.map((traceparent) => ({ traceparent, endOffset: offset(9n) })),
  };
}

const flushed = { atMs: 110, syncMs: 5 };

describe("what a follower does for recorded batches", () => {
  it("is one span for the fetch, and below each leader's span the share of its batch, with append and flush", () => {
    const spans: (SpanStart & SpanEnd)[] = [];
    const contexts = ["c", "d", "e", "f", "1", "2", "3"];
    const tracer = {
      enabled: true,
      record(span: SpanStart & SpanEnd) {
        spans.push(span);
        return { traceId, spanId: (contexts[spans.length - 1] ?? "9").repeat(16), sampled: true };
      },
    } as unknown as Tracer;
    const told = createFetchSpans(tracer)(
      place,
      fetchedWith(traceparentOf("a"), "what is no context", traceparentOf("b")),
      flushed,
    );
    const shown = spans.map(({ name, parent, startMs, endMs, links }) => ({
      name,
      parent: parent?.spanId[0],
      from: startMs,
      to: endMs,
      links: links?.map(({ spanId }) => spanId[0]),
    }));
    expect(shown).toEqual([
      { name: "replica fetch", parent: undefined, from: 100, to: 110, links: undefined },
      { name: "replica receive", parent: "a", from: 100, to: 110, links: ["c"] },
      { name: "append", parent: "d", from: 100, to: 104, links: undefined },
      { name: "flush", parent: "d", from: 104, to: 110, links: undefined },
      { name: "replica receive", parent: "b", from: 100, to: 110, links: ["c"] },
      { name: "append", parent: "1", from: 100, to: 104, links: undefined },
      { name: "flush", parent: "1", from: 104, to: 110, links: undefined },
    ]);
    expect(spans[2]?.attributes).toMatchObject({
      "tidemark.queue_ms": 1,
      "tidemark.write_ms": 3,
      "tidemark.segment": 0n,
      "tidemark.position": 61,
    });
    expect(spans[3]?.attributes).toMatchObject({ "tidemark.group_size": 2, "tidemark.sync_ms": 5 });
    // For the leader, whose span links to that of the fetch.
    expect(told).toBe(traceparentOf("c"));
    expect(spans[1]?.parent).toMatchObject(parentOf("a"));
    expect(spans[0]?.attributes).toMatchObject({ "tidemark.leader": 2, "messaging.message.body.size": 500 });
  });

  it("is nothing where no spans go anywhere", () => {
    const tracer = createDisabledTracer(createSeededRandom(1));
    expect(() => createFetchSpans(tracer)(place, fetchedWith(traceparentOf("a")), flushed)).not.toThrow();
  });
});
