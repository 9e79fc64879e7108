import { createByteBudget } from "@tidemark/rpc";
import { expect, test } from "vitest";
import { createQueueWatch } from "./queue-watch.ts";
import { createViolations } from "./violations.ts";

/** A connection of a process to a peer, of which 1,000 bytes may be queued. */
function startWatch() {
  const clock = { nowMs: 0 };
  const process = { name: "broker-1#1", isAlive: true, isPaused: false };
  const violations = createViolations(clock);
  const watch = createQueueWatch(violations, clock);
  const budget = createByteBudget({ name: "connection", limit: 1000 });
  const queue = watch.observe(process, "gateway-1", budget);
  const rulesAt = (nowMs: number) => {
    clock.nowMs = nowMs;
    watch.check();
    return violations.found.map(({ rule }) => rule);
  };
  return { process, budget, queue, rulesAt };
}

test("what is held and counted, let go and given back is as it should be", () => {
  const { budget, queue, rulesAt } = startWatch();
  budget.take(800);
  queue.held(500);
  expect(rulesAt(1000)).toEqual([]);
  queue.left(500);
  budget.give(800);
  queue.end();
  expect(rulesAt(5000)).toEqual([]);
});

test("what is held and not counted is found at once, and so is what is counted no more", () => {
  const held = "a process holds for a peer what it does not count";
  const first = startWatch();
  first.queue.held(1);
  expect(first.rulesAt(0)).toContain(held);
  const second = startWatch();
  second.budget.take(500);
  second.queue.held(500);
  second.budget.give(500);
  expect(second.rulesAt(1000)).toEqual([held]);
});

test("a count that was given back twice is found", () => {
  const { budget, rulesAt } = startWatch();
  budget.take(10);
  budget.give(10);
  budget.give(10);
  expect(rulesAt(1000)).toEqual(["a count of queued bytes is beyond its bounds"]);
});

test("what is still counted when a connection has been over for a while is found", () => {
  const { budget, queue, rulesAt } = startWatch();
  budget.take(10);
  queue.end();
  expect(rulesAt(500)).toEqual([]);
  expect(rulesAt(1500)).toEqual(["queued bytes were not given back"]);
});

test("a process that stands still has not heard yet that a connection is over, and one that has ended gives nothing back", () => {
  const { process, budget, queue, rulesAt } = startWatch();
  budget.take(10);
  queue.end();
  process.isPaused = true;
  expect(rulesAt(9000)).toEqual([]);
  process.isPaused = false;
  expect(rulesAt(9999)).toEqual([]);
  process.isAlive = false;
  expect(rulesAt(20_000)).toEqual([]);
});
