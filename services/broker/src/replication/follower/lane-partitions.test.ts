import type { FetchSession } from "@tidemark/replication";
import { expect, it } from "vitest";
import { fetchFrom, replica } from "../testing/replica-harness.ts";
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
