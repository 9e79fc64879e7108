import type { Partition } from "@tidemark/metadata";
import { expect, test } from "vitest";
import { isUncleanElection } from "./metadata-watch.ts";

const partition = (of: Partial<Record<keyof Partition, unknown>>) => of as Partition;
const whole = partition({ recovering: false, leader: 1, leaderEpoch: 8, isr: [1, 2], elr: [] });
const recovering = partition({ recovering: true, leader: 3, leaderEpoch: 9, isr: [3], elr: [] });
const leaderless = partition({ recovering: true, leader: undefined, leaderEpoch: 10, isr: [], elr: [3] });

test("a leader that has to recover was elected uncleanly", () => {
  expect(isUncleanElection(whole, recovering)).toBe(true);
  expect(isUncleanElection(undefined, recovering)).toBe(true);
});

test("a leader that dies while it recovers and leads again was not elected uncleanly once more", () => {
  expect(isUncleanElection(recovering, leaderless)).toBe(false);
  expect(isUncleanElection(leaderless, partition({ ...recovering, leaderEpoch: 11 }))).toBe(false);
});

test("another one that leads in its place while it is away was", () => {
  const other = partition({ ...recovering, leader: 2, leaderEpoch: 11, isr: [2] });
  expect(isUncleanElection(leaderless, other)).toBe(true);
});
