import { Outcome, Reason } from "@tidemark/proto/common/v1";
import type { TidemarkError } from "@tidemark/rpc";
import { createManualTime } from "@tidemark/runtime";
import { expect, it } from "vitest";
import { replacedGraceMs } from "../routing/replaced-leaders.ts";
import { leaveReplaced } from "./leave-replaced.ts";

/** Messages of a stream at two endpoints; those named in `replaced` went to a leader that is none any more. */
function start() {
  const time = createManualTime();
  const watchers = new Set<() => void>();
  const replaced = new Set<string>();
  const told: string[] = [];
  const upstreamTo = (unanswered: Set<string>) => ({
    hasRoom: true,
    isOpen: true,
    unanswered,
    send: () => undefined,
    end: () => undefined,
    cancel: () => undefined,
    leave(left: ReadonlySet<string>, { reason, outcome, message }: TidemarkError) {
      for (const sent of [...unanswered].filter((each) => left.has(each))) {
        unanswered.delete(sent);
        told.push(sent);
        expect([reason, outcome, message.includes("a:1")]).toEqual([Reason.NOT_LEADER, Outcome.UNKNOWN, true]);
      }
    },
  });
  const atA = new Set(["one", "two", "other partition"]);
  const stop = leaveReplaced<string>({
    table: {
      onChange(watcher) {
        watchers.add(watcher);
        return () => watchers.delete(watcher);
      },
    },
    scheduler: time.scheduler,
    upstreams: new Map([
      ["a:1", upstreamTo(atA)],
      ["b:1", upstreamTo(new Set(["three"]))],
    ]),
    isReplaced: (sent) => replaced.has(sent),
    onLeft: () => told.push("left"),
    onRouted: () => undefined,
  });
  const change = (...sent: readonly string[]) => {
    for (const each of sent) replaced.add(each);
    for (const watcher of [...watchers]) watcher();
  };
  return { time, replaced, told, atA, change, stop, watchers };
}

it("leaves what waits for a replaced leader after the grace, and nothing else", async () => {
  const { time, told, change } = start();
  change("one", "two");
  await time.advance(replacedGraceMs - 1);
  change();
  expect(told).toEqual([]);
  await time.advance(1);
  expect(told).toEqual(["one", "two", "left"]);
  await time.advance(10 * replacedGraceMs);
  expect([told.length, time.pending()]).toEqual([3, 0]);
});

it("lets what was sent elsewhere within the grace be", async () => {
  const { time, told, change, replaced } = start();
  change("one");
  await time.advance(replacedGraceMs / 2);
  // Its leader refused it, and it went to the next one.
  replaced.delete("one");
  await time.advance(replacedGraceMs);
  expect(told).toEqual(["left"]);
});

it("looks again at what was sent by a route that changes once more", async () => {
  const { time, told, change, replaced } = start();
  change("one");
  replaced.delete("one");
  await time.advance(replacedGraceMs);
  change("one");
  await time.advance(replacedGraceMs);
  expect(told).toEqual(["left", "one", "left"]);
});

it("does nothing once its stream is over, and leaves no timer", async () => {
  const { time, told, change, stop, watchers } = start();
  change("one");
  stop();
  expect([watchers.size, time.pending()]).toEqual([0, 0]);
  await time.advance(2 * replacedGraceMs);
  expect(told).toEqual([]);
});
