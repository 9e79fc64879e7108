import { describe, expect, it } from "vitest";
import { createPendingAcks } from "./pending-acks.ts";
import { createPendingFetches } from "./pending-fetches.ts";
import { at, request } from "./testing/values.ts";

const ack = (id: number, from: number, to: number, deadlineMs = 100) => ({
  requestId: request(id),
  baseOffset: at(from),
  endOffset: at(to),
  deadlineMs,
});
const ids = (taken: readonly { requestId: number }[]) => taken.map(({ requestId }) => requestId);

describe("acks that wait", () => {
  it("are answered in the order of their offsets, a repeat with its original", () => {
    const acks = createPendingAcks();
    acks.add(ack(1, 0, 5));
    acks.add(ack(2, 5, 9));
    acks.add(ack(3, 0, 5));
    expect(ids(acks.takeUpTo(at(8)))).toEqual([1, 3]);
    expect(ids(acks.takeUpTo(at(9)))).toEqual([2]);
    expect(acks.size).toBe(0);
  });

  it("expire by their own deadlines", () => {
    const acks = createPendingAcks();
    acks.add(ack(1, 0, 5, 300));
    acks.add(ack(2, 5, 9, 100));
    acks.add(ack(3, 9, 10, 200));
    expect(ids(acks.takeExpired(99))).toEqual([]);
    expect(ids(acks.takeExpired(200))).toEqual([2, 3]);
    expect(ids(acks.takeExpired(300))).toEqual([1]);
  });

  it("are forgotten when their client is gone", () => {
    const acks = createPendingAcks();
    acks.add(ack(1, 0, 5));
    acks.cancel(request(1));
    acks.cancel(request(9));
    expect(ids(acks.takeAll())).toEqual([]);
  });
});

describe("fetches that wait", () => {
  const waiting = () => {
    const fetches = createPendingFetches();
    for (const [id, offset, deadlineMs] of [
      [1, 5, 100],
      [2, 7, 200],
      [3, 5, 300],
    ] as const) {
      fetches.add({ requestId: request(id), offset: at(offset), deadlineMs });
    }
    return fetches;
  };

  it("are answered when what they ask for is there, in the order in which they came", () => {
    const fetches = waiting();
    expect(ids(fetches.takeBelow(at(5)))).toEqual([]);
    expect(ids(fetches.takeBelow(at(6)))).toEqual([1, 3]);
    expect(ids(fetches.takeBelow(at(9)))).toEqual([2]);
    expect(fetches.size).toBe(0);
  });

  it("are answered at their deadline", () => {
    expect(ids(waiting().takeExpired(200))).toEqual([1, 2]);
  });
});
