import { createDeferred, createManualTime } from "@tidemark/runtime";
import { expect, test } from "vitest";
import { createReach } from "./reach.ts";

test("an endpoint counts as reachable once a connection stood, and nobody waits for it", async () => {
  const time = createManualTime();
  const connected = createDeferred();
  const reach = createReach(() => ({ waitForReady: () => connected.promise }), time.clock);
  expect(reach.isReachable("broker:1")).toBe(false);
  connected.resolve();
  await time.advance(0);
  expect(reach.isReachable("broker:1")).toBe(true);
});

test("one that cannot be reached is tried again after a while, not each time", async () => {
  const time = createManualTime();
  const tried: string[] = [];
  const channelTo = (endpoint: string) => {
    tried.push(endpoint);
    return { waitForReady: () => Promise.reject(new Error("nobody there")) };
  };
  const reach = createReach(channelTo, time.clock);
  for (let round = 0; round < 5; round++) {
    expect(reach.isReachable("broker:1")).toBe(false);
    await time.advance(5000);
  }
  expect(tried).toHaveLength(1);
  await time.advance(10_000);
  reach.isReachable("broker:1");
  expect(tried).toHaveLength(2);
});

test("one that stopped answering is left alone for a while", async () => {
  const time = createManualTime();
  const reach = createReach(() => ({ waitForReady: () => Promise.resolve() }), time.clock);
  reach.isReachable("broker:1");
  await time.advance(0);
  reach.avoid("broker:1");
  expect(reach.isReachable("broker:1")).toBe(false);
  await time.advance(30_000);
  reach.isReachable("broker:1");
  await time.advance(0);
  expect(reach.isReachable("broker:1")).toBe(true);
});
