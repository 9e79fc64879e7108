import { topicId } from "@tidemark/ids";
import { emptyImage } from "@tidemark/metadata";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { createManualTime, createSeededRandom } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { callLeader, type LeaderCall } from "./call-leader.ts";
import { createPauses } from "./patience.ts";
import { replacedGraceMs } from "./replaced-leaders.ts";
import { createRouteTable, type Route } from "./route-table.ts";

const partition = { topic: "orders", topicId: topicId("aaaaaaaa-0000-4000-8000-000000000001"), partition: 0 };
const frozen: Route = { broker: 1, endpoint: "a:1", leaderEpoch: 1 };
const next: Route = { broker: 2, endpoint: "b:1", leaderEpoch: 2 };

/** A call whose leader in leader epoch 1 answers when the test says so, and every other one at once. */
function start(effect: LeaderCall<string>["effect"]) {
  const time = createManualTime();
  const watchers = new Set<() => void>();
  let route = frozen;
  const table = {
    ...createRouteTable(emptyImage),
    route: () => route,
    onChange(watcher: () => void) {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
  };
  const runtime = { clock: time.clock, scheduler: time.scheduler, random: createSeededRandom(1) };
  const { signal } = new AbortController();
  const asked: { readonly endpoint: string; readonly over: AbortSignal }[] = [];
  let answer: (text: string) => void = () => undefined;
  const ended: unknown[] = [];
  callLeader({ table, runtime }, createPauses(table, runtime, { signal, remainingMs: () => undefined }), {
    locate: () => partition,
    effect,
    signal,
    attempt: ({ route: { endpoint } }, _, over) => {
      asked.push({ endpoint, over });
      if (asked.length > 1) return Promise.resolve(`from ${endpoint}`);
      return new Promise((resolve) => (answer = resolve));
    },
  }).then(
    (text) => ended.push(text),
    (error: unknown) => ended.push(error),
  );
  const change = (to: Route) => {
    route = to;
    for (const watcher of [...watchers]) watcher();
  };
  return { time, asked, ended, change, watchers, answer: (text: string) => answer(text) };
}

describe("a leader that answers nothing any more", () => {
  it.each(["read", "once"] as const)(
    "is left for the next one, where doing it twice does no harm: %s",
    async (effect) => {
      const { time, asked, ended, change, watchers } = start(effect);
      await time.advance(5000);
      change(next);
      await time.advance(replacedGraceMs - 1);
      expect([asked.length, ended]).toEqual([1, []]);
      await time.advance(1);
      expect(asked.map(({ endpoint, over }) => [endpoint, over.aborted])).toEqual([
        ["a:1", true],
        ["b:1", false],
      ]);
      expect(ended).toEqual(["from b:1"]);
      expect([watchers.size, time.pending()]).toEqual([0, 0]);
    },
  );

  it("ends what is done each time as unknown, and nobody else is asked", async () => {
    const { time, asked, ended, change } = start("eachTime");
    await time.advance(1);
    change(next);
    await time.advance(replacedGraceMs);
    expect(ended).toMatchObject([{ reason: Reason.NOT_LEADER, outcome: Outcome.UNKNOWN }]);
    expect(asked).toHaveLength(1);
  });
});

describe("a leader that was replaced", () => {
  it("is heard where its answer comes within the grace", async () => {
    const { time, asked, ended, change, answer, watchers } = start("once");
    await time.advance(1);
    change(next);
    await time.advance(replacedGraceMs - 1);
    answer("late");
    await time.advance(0);
    expect([asked.length, ended]).toEqual([1, ["late"]]);
    expect([watchers.size, time.pending()]).toEqual([0, 0]);
  });

  it.each([
    { says: "by itself, in a newer leader epoch", to: { ...frozen, leaderEpoch: 2 } },
    { says: "by nobody: the same leader epoch has another endpoint", to: { ...next, leaderEpoch: 1 } },
  ])("is waited for $says", async ({ to }) => {
    const { time, asked, ended, change } = start("once");
    await time.advance(1);
    change(to);
    await time.advance(10 * replacedGraceMs);
    expect([asked.length, ended]).toEqual([1, []]);
  });
});
