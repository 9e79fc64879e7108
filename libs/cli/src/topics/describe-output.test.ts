import { PassThrough } from "node:stream";
import type { PartitionDescription, TopicDescription } from "@tidemark/client";
import { expect, test } from "vitest";
import type { Io } from "../io.ts";
import { printPartitions, topicJson } from "./describe-output.ts";

const partition = {
  partition: 0,
  leader: 1,
  leaderEpoch: 4,
  partitionEpoch: 7,
  replicas: [1, 2, 3, 4],
  isr: [1],
  elr: [],
  offline: [2, 3, 4],
  damaged: [3],
  notServed: [4],
  minIsr: 1,
  recovering: false,
} as unknown as PartitionDescription;
const topic = { name: "orders", topicId: "id", replicationFactor: 4, settings: {} } as TopicDescription;
const described = { topic, partitions: [partition] };

test("a partition tells which replicas are offline, and why where their broker lives", () => {
  const stdout = new PassThrough();
  printPartitions({ stdout } as unknown as Io, [described]);
  expect(String(stdout.read())).toContain("2, 3 (damaged), 4 (not served)");
  expect(topicJson(described).partitions).toMatchObject([{ offline: [2, 3, 4], damaged: [3], notServed: [4] }]);
});
