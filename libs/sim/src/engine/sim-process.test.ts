import { createSeededRandom } from "@tidemark/runtime";
import { expect, test } from "vitest";
import { createEngine } from "./engine.ts";
import { clockRateNear, createSimProcess } from "./sim-process.ts";

/** When timers of these lengths fire, by the clock of a process and by time itself. */
function fireTimes(clockRate: number, delays: readonly number[]) {
  const engine = createEngine();
  const process = createSimProcess(engine, { name: "p", random: createSeededRandom(1), wallStartMs: 0, clockRate });
  const { clock, scheduler } = process.runtime;
  // Not at 0, where any rate shows the same.
  engine.after(1234.5, () => undefined);
  while (engine.step(5000));
  const startMs = clock.monotonicMs();
  const fired: { readonly delay: number; readonly ownMs: number; readonly realMs: number }[] = [];
  for (const delay of delays) {
    scheduler.after(delay, () =>
      fired.push({ delay, ownMs: clock.monotonicMs() - startMs, realMs: engine.nowMs - 5000 }),
    );
  }
  while (engine.step(1e9));
  return fired;
}

const delays = Array.from({ length: 500 }, (_, index) => 1 + index * 37);

test.for([0.97, 0.999, 1, 1.001, 1.03])(
  "with a clock of rate %f no timer fires before its time, nor long after",
  (rate) => {
    const fired = fireTimes(clockRateNear(rate), delays);
    expect(fired).toHaveLength(delays.length);
    for (const { delay, ownMs } of fired) {
      expect(ownMs).toBeGreaterThanOrEqual(delay);
      expect(ownMs).toBeLessThan(delay + 0.01);
    }
  },
);

test("a fast clock's timers fire early, and a slow one's late, by the time of the run", () => {
  const [fast] = fireTimes(clockRateNear(1.03), [10_000]);
  const [slow] = fireTimes(clockRateNear(0.97), [10_000]);
  expect(fast?.realMs).toBeLessThan(9720);
  expect(slow?.realMs).toBeGreaterThan(10_290);
});
