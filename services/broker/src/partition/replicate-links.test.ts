/** The leader's span of a batch's way to a follower links to the follower's fetch that brought the batch. */
import { brokerId, type Offset, offset } from "@tidemark/ids";
import { expect, it } from "vitest";
import { addFetches, type FlushedFetch, noFetches } from "../replication/replica-exchange.ts";
import { forgetFetched, forgetTakenBack, noteFetchedFlushed } from "./fetched-batches.ts";
import type { FetchedBatches, PartitionShared, ReplicaState } from "./replica-state.ts";
import { createTimeline } from "./timeline.ts";
import { noteReport, noteSent } from "./watched-batches.ts";

const follower = brokerId(2);
const at = (value: number): Offset => offset(BigInt(value));
const fetchOf = (start: number, end: number): FlushedFetch => ({
  traceparent: `fetch of ${start} to ${end}`,
  startOffset: at(start),
  endOffset: at(end),
});

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
    settledMs: undefined,
  }));
  const state: Pick<ReplicaState, "watched" | "heardMs"> & { shared: Pick<PartitionShared, "clock"> } = {
    watched,
    heardMs: undefined,
    shared: { clock: { monotonicMs: () => 1 } as PartitionShared["clock"] },
  };
  const leader = state as ReplicaState;
  noteSent(leader, { replica: follower, from: at(0), upTo: at(Math.max(...ends)), sentMs: 0 });
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
      from: at(end - 1),
      upTo: at(end),
      leader: brokerId(1),
      bytes: 1,
      receivedMs: 0,
      written: undefined,
      traces: [],
    }),
  );
  const shared: Pick<PartitionShared, "onFetched"> = {
    onFetched: (_, { from, upTo }) => fetchOf(Number(from), Number(upTo)).traceparent,
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
  expect(links).toEqual([["fetch of 0 to 1"], ["fetch of 1 to 2"]]);
});

it("links every batch of one fetch to it", () => {
  const { links, report } = leaderOf(1, 2, 3);
  report(2, [fetchOf(0, 2)]);
  expect(links).toEqual([["fetch of 0 to 2"], ["fetch of 0 to 2"], []]);
});

it("links a batch though the position was told before the fetch was named", () => {
  const { links, report } = leaderOf(1);
  report(1);
  report(1, [fetchOf(0, 1)]);
  expect(links).toEqual([["fetch of 0 to 1"]]);
});

it("links a batch once", () => {
  const { links, report } = leaderOf(1);
  report(1, [fetchOf(0, 1)]);
  report(2, [fetchOf(0, 2)]);
  expect(links).toEqual([["fetch of 0 to 1"]]);
});

it("links no batch to a later fetch where the name of its own was lost", () => {
  const { links, report } = leaderOf(1, 2);
  report(2, [fetchOf(1, 2)]);
  expect(links).toEqual([[], ["fetch of 1 to 2"]]);
});

it("names what is flushed alone, and nothing of before a cut", () => {
  const { state, flush } = followerOf(1, 2);
  flush(1);
  expect(state.fetchedIn).toEqual([fetchOf(0, 1)]);
  forgetFetched(state);
  flush(2);
  expect(state.fetchedIn).toEqual([]);
});

it("names no fetch whose batches the log did not take: they are fetched again", () => {
  const { state, flush } = followerOf(1, 2);
  forgetTakenBack(state, at(1));
  flush(2);
  expect(state.fetchedIn).toEqual([fetchOf(0, 1)]);
});

it("names the newest 32 fetches", () => {
  const all = Array.from({ length: 40 }, (_, index) => fetchOf(index, index + 1));
  expect(addFetches(all.slice(0, 20), all.slice(20))).toEqual(all.slice(8));
});
