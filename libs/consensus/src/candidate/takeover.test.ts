import { controllerEpoch, controllerId } from "@tidemark/ids";
import { createDeferred, createManualTime, createSeededRandom } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import type { Leadership } from "../consensus.ts";
import { createTakeover, type Dialled } from "./takeover.ts";

const following = (epoch: number, endpoint = "leader:1"): Leadership => ({
  kind: "following",
  epoch: controllerEpoch(epoch),
  leader: controllerId(1),
  endpoint,
});

/** A standby whose dials end as `answers` says, one after the other, the last for good; more may be added later. */
function setting(answers: Dialled["kind"][]) {
  const time = createManualTime();
  const connections: { readonly break: () => void; isClosed: boolean }[] = [];
  const gone: number[] = [];
  const unreached: number[] = [];
  let dials = 0;
  const takeover = createTakeover(
    {
      graceMs: 300,
      cooldownMs: 3_000,
      async dial() {
        const kind = answers[dials] ?? answers.at(-1) ?? "silent";
        if (dials >= answers.length) answers.push(kind);
        dials += 1;
        if (kind !== "reached") return { kind };
        const closed = createDeferred();
        const connection = { break: closed.resolve, isClosed: false };
        connections.push(connection);
        return {
          kind,
          closed: closed.promise,
          close() {
            connection.isClosed = true;
            closed.resolve();
          },
        };
      },
    },
    {
      runtime: { ...time, random: createSeededRandom(1) },
      onGone: (epoch) => gone.push(epoch),
      onUnreached: (epoch) => unreached.push(epoch),
    },
  );
  const answerNext = (...kinds: readonly Dialled["kind"][]) => answers.splice(dials, answers.length, ...kinds);
  return { time, takeover, connections, gone, unreached, dials: () => dials, answerNext };
}

describe("a standby", () => {
  it("holds a connection to the leader, and dials no more while that stands", async () => {
    const s = setting(["reached"]);
    s.takeover.follow(following(4));
    await s.time.advance(60_000);
    expect(s.dials()).toBe(1);
    expect(s.gone).toEqual([]);
  });

  it("concludes that the leader is gone when its endpoint refuses throughout the grace, and not sooner", async () => {
    const s = setting(["reached", "refused"]);
    s.takeover.follow(following(4));
    await s.time.advance(1_000);
    s.connections[0]?.break();
    await s.time.advance(300);
    expect(s.gone).toEqual([]);
    await s.time.advance(100);
    expect(s.gone).toEqual([4]);
  });

  it.each(["silent", "reached"] as const)("begins anew where one dial among the refused is %s", async (other) => {
    const s = setting(["reached", "refused", "refused", "refused", "refused", "refused", other, "refused"]);
    s.takeover.follow(following(4));
    await s.time.advance(10);
    s.connections[0]?.break();
    await s.time.advance(310);
    s.connections[1]?.break();
    await s.time.advance(310);
    expect(s.gone).toEqual([]);
    await s.time.advance(400);
    expect(s.gone).toEqual([4]);
  });

  it("concludes nothing from silence", async () => {
    const s = setting(["silent"]);
    s.takeover.follow(following(4));
    await s.time.advance(60_000);
    expect(s.gone).toEqual([]);
  });

  it("concludes nothing of leaders that it never reached: they may refuse it alone", async () => {
    const s = setting(["reached", "refused"]);
    s.takeover.follow(following(4));
    await s.time.advance(10);
    for (const epoch of [5, 6, 7]) {
      s.takeover.follow(following(epoch));
      await s.time.advance(60_000);
    }
    expect(s.gone).toEqual([]);
  });

  it("tells once of a leader that refused it for as long as the cooldown since it follows, and of no other", async () => {
    const s = setting(["refused"]);
    s.takeover.follow(following(4));
    await s.time.advance(2_900);
    expect(s.unreached).toEqual([]);
    await s.time.advance(60_000);
    expect(s.unreached).toEqual([4]);
    s.answerNext("reached", "refused");
    s.takeover.follow(following(5));
    await s.time.advance(10);
    s.connections[0]?.break();
    await s.time.advance(60_000);
    s.answerNext("silent");
    s.takeover.follow(following(6));
    await s.time.advance(60_000);
    expect(s.unreached).toEqual([4]);
  });

  it("takes over at most once in the cooldown, whoever leads meanwhile", async () => {
    const s = setting(["reached", "refused"]);
    s.takeover.follow(following(4));
    await s.time.advance(10);
    s.connections[0]?.break();
    await s.time.advance(500);
    s.answerNext("reached", "refused");
    s.takeover.follow(following(5));
    await s.time.advance(10);
    s.connections[1]?.break();
    await s.time.advance(2_500);
    expect(s.gone).toEqual([4]);
    await s.time.advance(1_500);
    expect(s.gone).toEqual([4, 5]);
  });

  it("lets go of the connection when it follows nobody, and dials nobody then", async () => {
    const s = setting(["reached", "refused"]);
    s.takeover.follow(following(4));
    await s.time.advance(10);
    s.takeover.follow({ kind: "none" });
    await s.time.advance(10_000);
    expect(s.connections.map(({ isClosed }) => isClosed)).toEqual([true]);
    expect(s.dials()).toBe(1);
    expect(s.gone).toEqual([]);
  });
});
