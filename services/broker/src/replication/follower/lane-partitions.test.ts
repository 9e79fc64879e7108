import { offset } from "@tidemark/ids";
import type { FetchSession } from "@tidemark/replication";
import { expect, it } from "vitest";
import { fetchFrom, flushedUpTo, replica } from "../testing/replica-harness.ts";
import { createLanePartitions } from "./lane-partitions.ts";

it("asks for a partition once in a message, though much of it came and was written since the fetch was made", () => {
  const partitions = createLanePartitions({ unwrittenBytes: 10, standsForBytes: 0 });
  partitions.fetch(replica(0), fetchFrom(0));
  partitions.takeItems();
  const partition = partitions.byHandle(0)!;
  partitions.fetch(replica(0), fetchFrom(0, { session: 2 as FetchSession }));
  // What the leader had sent for the fetch before.
  partitions.hold(partition, 11);
  partitions.letGo(partition, 11);
  expect(partitions.takeItems().fetches).toMatchObject([{ session: 2 }]);
  expect(partitions.hasItems).toBe(false);
});

it("asks for a partition of which much is not written when enough of it is", () => {
  const partitions = createLanePartitions({ unwrittenBytes: 10, standsForBytes: 0 });
  partitions.fetch(replica(0), fetchFrom(0));
  partitions.takeItems();
  const partition = partitions.byHandle(0)!;
  partitions.hold(partition, 30);
  partitions.fetch(replica(0), fetchFrom(1));
  partitions.letGo(partition, 10);
  expect(partitions.hasFetches).toBe(false);
  partitions.letGo(partition, 10);
  expect(partitions.takeItems().fetches).toMatchObject([{ fetchOffset: 1n }]);
  partitions.letGo(partition, 10);
  expect(partitions.hasFetches).toBe(false);
});

it("names the fetches of all the reports that one message brings together, and none of an older session", () => {
  const partitions = createLanePartitions({ unwrittenBytes: 10, standsForBytes: 0 });
  const fetched = (end: bigint) => [
    { traceparent: `fetch up to ${end}`, startOffset: offset(end - 1n), endOffset: offset(end) },
  ];
  const newest = { ...flushedUpTo(3), session: 2 as FetchSession };
  partitions.flushed(replica(0), flushedUpTo(1), fetched(1n));
  partitions.flushed(replica(0), flushedUpTo(2), fetched(2n));
  expect(partitions.takeItems().flushed).toMatchObject([{ flushed: 2n, fetches: [...fetched(1n), ...fetched(2n)] }]);
  partitions.flushed(replica(0), flushedUpTo(4), fetched(4n));
  partitions.flushed(replica(0), newest, fetched(3n));
  expect(partitions.takeItems().flushed).toMatchObject([{ flushed: 3n, fetches: fetched(3n) }]);
  partitions.flushed(replica(0), newest, []);
  expect(partitions.takeItems().flushed[0]?.fetches).toBeUndefined();
});
