import { topicId } from "@tidemark/ids";
import { emptyImage } from "@tidemark/metadata";
import { Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "@tidemark/rpc";
import { createManualTime, createSeededRandom } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { createPauses } from "./patience.ts";
import type { Route, RouteTable } from "./route-table.ts";

const partition = { topic: "orders", topicId: topicId("aaaaaaaa-0000-4000-8000-000000000001"), partition: 0 };
const refusal = (retryAfterMs?: number) =>
  new TidemarkError({
    reason: Reason.NOT_LEADER,
    message: "elsewhere",
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });

/** Pauses of a call that is refused in leader epoch 1, with a table that the test holds. */
function world(remainingMs?: number) {
  const time = createManualTime();
  const abort = new AbortController();
  const watchers = new Set<() => void>();
  let leaderEpoch = 1;
  const table: Pick<RouteTable, "route" | "onChange"> = {
    route: (): Route => ({ broker: 1, endpoint: "x:1", leaderEpoch }),
    onChange(watcher) {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
  };
  const endsAt = remainingMs === undefined ? undefined : time.clock.monotonicMs() + remainingMs;
  const pauses = createPauses(
    { ...table, image: emptyImage } as RouteTable,
    { clock: time.clock, scheduler: time.scheduler, random: createSeededRandom(1) },
    {
      signal: abort.signal,
      remainingMs: () => (endsAt === undefined ? undefined : endsAt - time.clock.monotonicMs()),
    },
  );
  const refuse = (error = refusal(), epoch = 1) => {
    const seen: { again?: boolean } = {};
    pauses.next([{ partition, leaderEpoch: epoch }], error).then(
      (again) => (seen.again = again),
      () => undefined,
    );
    return seen;
  };
  const elect = (epoch: number) => {
    leaderEpoch = epoch;
    for (const watcher of [...watchers]) watcher();
  };
  return { ...time, abort, pauses, refuse, elect, watchers };
}

describe("a pause between two tries", () => {
  it("is none where a newer leader is known already", async () => {
    const { refuse, elect, advance } = world();
    elect(2);
    const seen = refuse();
    await advance(0);
    expect(seen.again).toBe(true);
  });

  it("ends when a newer leader becomes known", async () => {
    const { refuse, elect, advance, watchers, pending } = world();
    const seen = refuse();
    await advance(10);
    elect(1);
    await advance(0);
    expect(seen.again).toBeUndefined();
    elect(2);
    await advance(0);
    expect(seen.again).toBe(true);
    expect([watchers.size, pending()]).toEqual([0, 0]);
  });

  it("ends after its backoff where nothing changes, since a leader may not know of its leadership yet", async () => {
    const { refuse, advance } = world();
    const seen = refuse();
    await advance(24);
    expect(seen.again).toBeUndefined();
    await advance(26);
    expect(seen.again).toBe(true);
  });

  it("is as long as the leader asks for", async () => {
    const { refuse, advance } = world();
    const seen = refuse(refusal(700));
    await advance(699);
    expect(seen.again).toBeUndefined();
    await advance(1);
    expect(seen.again).toBe(true);
  });

  it("is taken after three leaders in a row that pointed on", async () => {
    const { refuse, elect, advance } = world();
    const seen: { again?: boolean }[] = [];
    for (let epoch = 1; epoch <= 4; epoch++) {
      elect(epoch + 1);
      seen.push(refuse(refusal(), epoch));
      await advance(0);
    }
    expect(seen.map(({ again }) => again)).toEqual([true, true, true, undefined]);
    // Not even by a newer one still: whoever points in circles has to wait.
    elect(9);
    await advance(0);
    expect(seen[3]?.again).toBeUndefined();
    await advance(50);
    expect(seen[3]?.again).toBe(true);
  });

  it("is not begun where it would outlast the call", async () => {
    const { refuse, advance, pending } = world(20);
    const seen = refuse();
    await advance(0);
    expect(seen.again).toBe(false);
    expect(pending()).toBe(0);
  });

  it("ends when the caller leaves, and is not begun after that", async () => {
    const { refuse, abort, advance, watchers, pending } = world();
    const first = refuse();
    abort.abort();
    await advance(0);
    const second = refuse();
    await advance(0);
    expect([first.again, second.again]).toEqual([false, false]);
    expect([watchers.size, pending()]).toEqual([0, 0]);
  });

  it("is a first one again for a newer leader, however long the one before it was in vain", async () => {
    const { refuse, elect, advance } = world();
    for (const ms of [50, 100, 200, 400]) {
      refuse();
      await advance(ms);
    }
    refuse();
    elect(2);
    await advance(0);
    const seen = refuse(refusal(), 2);
    await advance(50);
    expect(seen.again).toBe(true);
    elect(3);
    refuse(refusal(), 2);
    await advance(0);
    const later = refuse(refusal(), 3);
    await advance(50);
    expect(later.again).toBe(true);
  });

  it("grows where leaders point on in circles, each with a newer leader epoch", async () => {
    const { refuse, elect, advance } = world();
    let epoch = 1;
    const goRound = async () => {
      for (let hop = 0; hop < 3; hop++) {
        elect(epoch + 1);
        refuse(refusal(), epoch++);
        await advance(0);
      }
      elect(epoch + 1);
      return refuse(refusal(), epoch++);
    };
    for (const ms of [50, 100, 200]) {
      const seen = await goRound();
      await advance(ms / 2 - 1);
      expect(seen.again).toBeUndefined();
      await advance(ms / 2 + 1);
      expect(seen.again).toBe(true);
    }
  });

  it("is a first one again after something worked", async () => {
    const { refuse, pauses, advance } = world();
    for (let failures = 0; failures < 5; failures++) {
      refuse();
      await advance(2000);
    }
    pauses.reset();
    const seen = refuse();
    await advance(50);
    expect(seen.again).toBe(true);
  });
});
