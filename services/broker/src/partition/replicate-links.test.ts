/** The leader's span of a batch's way to a follower links to the follower's fetch that brought the batch. */
import { brokerId, type Offset, offset } from "@tidemark/ids";
import { expect, it } from "vitest";
import { addFetches, type FlushedFetch, noFetches } from "../replication/replica-exchange.ts";
import { forgetFetched, noteFetchedFlushed } from "./fetched-batches.ts";
import type { FetchedBatches, PartitionShared, ReplicaState } from "./replica-state.ts";
import { createTimeline } from "./timeline.ts";
import { noteReport, noteSent } from "./watched-batches.ts";

const follower = brokerId(2);
const at = (value: number): Offset => offset(BigInt(value));
const fetchUpTo = (end: number): FlushedFetch => ({ traceparent: `fetch up to ${end}`, endOffset: at(end) });

/** A leader that has sent its follower recorded batches that end where is said. */
function leaderOf(...ends: number[]) {
  const links = ends.map((): string[] => []);
  const watched = ends.map((end, index) => ({
    upTo: at(end),
    timeline: createTimeline(0, () => ({
      traceparent: `batch up to ${end}`,
      link: (traceparent) => links[index]?.push(traceparent),
      end: () => undefined,
    })),
  }));
  const state: Pick<ReplicaState, "watched" | "heardMs"> & { shared: Pick<PartitionShared, "clock"> } = {
    watched,
    heardMs: undefined,
    shared: { clock: { monotonicMs: () => 1 } as PartitionShared["clock"] },
  };
  const leader = state as ReplicaState;
  noteSent(leader, { replica: follower, from: at(0) });
  return {
    links,
    report: (end: number, fetchedIn = noFetches) => {
      noteReport(leader, { replica: follower, flushed: at(end) }, fetchedIn);
    },
  };
}

/** A follower that has fetched recorded batches up to where is said, one answer after the other. */
function followerOf(...ends: number[]) {
  const fetched = ends.map(
    (end): FetchedBatches => ({
      upTo: at(end),
      leader: brokerId(1),
      bytes: 1,
      receivedMs: 0,
      written: undefined,
      traces: [],
    }),
  );
  const shared: Pick<PartitionShared, "onFetched"> = {
    onFetched: (_, { upTo }) => fetchUpTo(Number(upTo)).traceparent,
  };
  const state = { fetched, fetchedIn: noFetches, place: {}, shared } as unknown as ReplicaState;
  return {
    state,
    flush: (end: number) => {
      noteFetchedFlushed(state, { kind: "flushed", upTo: at(end), syncMs: 1 }, 5);
    },
  };
}

it("links each batch to its own fetch where one flush covers two", () => {
  const { state, flush } = followerOf(1, 2);
  flush(2);
  const { links, report } = leaderOf(1, 2);
  report(2, state.fetchedIn);
  expect(links).toEqual([["fetch up to 1"], ["fetch up to 2"]]);
});

it("links every batch of one fetch to it", () => {
  const { links, report } = leaderOf(1, 2, 3);
  report(2, [fetchUpTo(2)]);
  expect(links).toEqual([["fetch up to 2"], ["fetch up to 2"], []]);
});

it("links a batch though the position was told before the fetch was named", () => {
  const { links, report } = leaderOf(1);
  report(1);
  report(1, [fetchUpTo(1)]);
  expect(links).toEqual([["fetch up to 1"]]);
});

it("links a batch once", () => {
  const { links, report } = leaderOf(1);
  report(1, [fetchUpTo(1)]);
  report(2, [fetchUpTo(2)]);
  expect(links).toEqual([["fetch up to 1"]]);
});

it("names what is flushed alone, and nothing of before a cut", () => {
  const { state, flush } = followerOf(1, 2);
  flush(1);
  expect(state.fetchedIn).toEqual([fetchUpTo(1)]);
  forgetFetched(state);
  flush(2);
  expect(state.fetchedIn).toEqual([]);
});

it("names the newest 32 fetches", () => {
  const all = Array.from({ length: 40 }, (_, index) => fetchUpTo(index));
  expect(addFetches(all.slice(0, 20), all.slice(20))).toEqual(all.slice(8));
});
