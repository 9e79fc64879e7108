import type { BrokerSession, MetadataImage, Partition } from "@tidemark/metadata";
import { expect, test } from "vitest";
import { checkEntries, isUncleanElection } from "./metadata-watch.ts";

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

test("whoever enters the ISR has a running session; who stands in it may be about to stop", () => {
  const sessions = [
    { brokerId: 1, state: "stopping" },
    { brokerId: 2, state: "running" },
    { brokerId: 3, state: "fenced" },
  ] as unknown as readonly BrokerSession[];
  const image: Pick<MetadataImage, "sessions"> = { sessions: new Map(sessions.map((each) => [each.brokerId, each])) };
  const isrOf = (...isr: readonly number[]) => ({ isr }) as unknown as Pick<Partition, "isr">;
  expect(checkEntries(isrOf(1), isrOf(1, 2), image)).toEqual([]);
  expect(checkEntries(isrOf(2), isrOf(1, 2, 3, 4), image)).toEqual([
    "broker 1 is stopping",
    "broker 3 is fenced",
    "broker 4 is without a session",
  ]);
});
