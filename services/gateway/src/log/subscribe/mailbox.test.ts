import { expect, test } from "vitest";
import { createMailbox } from "./mailbox.ts";

test("a giver waits until its item was taken, and items come in their order", async () => {
  const mailbox = createMailbox<number>();
  const taken: number[] = [];
  for (const item of [1, 2]) mailbox.give(item).then(() => taken.push(item), Promise.reject);
  await Promise.resolve();
  expect(taken).toEqual([]);
  expect(await mailbox.take()).toBe(1);
  await Promise.resolve();
  expect(taken).toEqual([1]);
  expect(await mailbox.take()).toBe(2);
});

test("a taker that waits is woken by an item, and by being asked to look around", async () => {
  const mailbox = createMailbox<number>();
  const first = mailbox.take();
  mailbox.give(1).catch(() => undefined);
  expect(await first).toBe(1);
  const second = mailbox.take();
  mailbox.wake();
  expect(await second).toBeUndefined();
});

test("whoever gives to a closed one, or waits there when it is closed, is told that nobody takes any more", async () => {
  const mailbox = createMailbox<number>();
  const waiting = mailbox.give(1);
  mailbox.close();
  expect([await waiting, await mailbox.give(2)]).toEqual([false, false]);
});
