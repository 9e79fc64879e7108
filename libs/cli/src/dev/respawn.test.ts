import { createManualTime } from "@tidemark/runtime";
import { describe, expect, test } from "vitest";
import type { ProcessState } from "./cluster-file.ts";
import { createRespawn } from "./respawn.ts";

/** A supervisor of one broker. `starts`: whether its next starts succeed, one each; then all do. */
function setUp(starts: boolean[] = []) {
  const time = createManualTime();
  const said: string[] = [];
  const startedAtMs: number[] = [];
  let state: ProcessState = "ready";
  const supervisor = {
    start: async () => {
      await Promise.resolve();
      startedAtMs.push(time.clock.monotonicMs());
      const ok = starts.shift() ?? true;
      state = ok ? "ready" : "failed";
      return { ok, message: ok ? "broker-1 is ready" : "broker-1 did not start: no luck" };
    },
    entries: () => [{ role: "broker" as const, id: 1, endpoints: {}, state }],
  };
  const respawn = createRespawn({ supervisor, ...time, say: (line) => said.push(line) });
  return {
    time,
    said,
    startedAtMs,
    die() {
      state = "failed";
      return respawn.died("broker-1");
    },
    set(next: ProcessState) {
      state = next;
    },
  };
}

describe("a process that died", () => {
  test("is started again at once the first time, and again after it lived for a while", async () => {
    const { time, die, startedAtMs, said } = setUp();
    expect(die()).toBe("starting it again");
    await time.advance(1);
    expect(startedAtMs).toHaveLength(1);
    await time.advance(20_000);
    expect(die()).toBe("starting it again");
    await time.advance(1);
    expect(said).toEqual(["broker-1 is ready", "broker-1 is ready"]);
  });

  test("again and again is started after pauses that double up to five seconds", async () => {
    const { time, die } = setUp();
    const pauses: string[] = [];
    for (let death = 0; death < 8; death++) {
      pauses.push(die().replace("starting it again", ""));
      await time.advance(6000);
    }
    expect(pauses.slice(0, 7)).toEqual([
      "",
      " in 200 ms",
      " in 400 ms",
      " in 800 ms",
      " in 1600 ms",
      " in 3200 ms",
      " in 5000 ms",
    ]);
  });

  test("and does not start is tried again", async () => {
    const { time, die, said, startedAtMs } = setUp([false, false]);
    die();
    await time.advance(1000);
    expect(said).toEqual([
      "broker-1 did not start: no luck; starting it again in 200 ms",
      "broker-1 did not start: no luck; starting it again in 400 ms",
      "broker-1 is ready",
    ]);
    expect(startedAtMs).toHaveLength(3);
  });

  test.each(["stopped", "ready"] as const)("and is %s by hand meanwhile is left alone", async (state) => {
    const { time, die, set, startedAtMs } = setUp();
    die();
    set(state);
    await time.advance(1000);
    expect(startedAtMs).toEqual([]);
  });
});
