import { createSeededRandom } from "@tidemark/runtime";
import { expect, test } from "vitest";
import { createEventQueue } from "./event-queue.ts";

test("events come in the order of their time, and at one time as they were planned", () => {
  const queue = createEventQueue();
  const random = createSeededRandom(1);
  const planned = Array.from({ length: 5000 }, (_, order) => ({ at: Math.floor(random.next() * 50), order }));
  const came: { at: number; order: number }[] = [];
  for (const event of planned) queue.add(event.at, () => came.push(event));
  for (let event = queue.take(); event !== undefined; event = queue.take()) event.run();
  expect(came).toEqual(planned.toSorted((left, right) => left.at - right.at || left.order - right.order));
});

test("what was taken back never comes, however much was taken back", () => {
  const queue = createEventQueue();
  const came: number[] = [];
  const cancels = Array.from({ length: 10_000 }, (_, at) => queue.add(at, () => came.push(at)));
  for (const [at, cancel] of cancels.entries()) if (at % 10 !== 0) cancel();
  expect(queue.size()).toBe(1000);
  expect(queue.nextAtMs()).toBe(0);
  for (let event = queue.take(); event !== undefined; event = queue.take()) event.run();
  expect(came).toEqual(Array.from({ length: 1000 }, (_, index) => index * 10));
});

test("when everything is taken back nothing comes, and what is taken back again stays away", () => {
  const queue = createEventQueue();
  const cancel = queue.add(1, () => undefined);
  queue.add(2, () => undefined);
  queue.clear();
  cancel();
  expect([queue.size(), queue.take()]).toEqual([0, undefined]);
});

test("taking back an event that has run does nothing", () => {
  const queue = createEventQueue();
  const cancel = queue.add(1, () => undefined);
  queue.take()?.run();
  cancel();
  expect(queue.size()).toBe(0);
  expect(queue.nextAtMs()).toBe(Number.POSITIVE_INFINITY);
});
