import { createManualTime } from "@tidemark/runtime";
import { expect, test } from "vitest";
import type { Metrics } from "./metrics.ts";
import { observeEventLoopLag } from "./process-metrics.ts";

function recording(): { readonly metrics: Metrics; readonly recorded: number[] } {
  const recorded: number[] = [];
  const nothing = () => () => undefined;
  const metrics = {
    counter: () => ({ add: () => undefined }),
    histogram: () => ({ record: (value: number) => recorded.push(value) }),
    observeGauge: nothing,
    observeCounter: nothing,
  };
  return { metrics, recorded };
}

test("the lag of the event loop is how much later than planned its timer ran", () => {
  const { metrics, recorded } = recording();
  let now = 0;
  const due: (() => void)[] = [];
  const scheduler = {
    after: (_: number, task: () => void) => {
      due.push(task);
      return () => undefined;
    },
    afterInput: () => () => undefined,
  };
  observeEventLoopLag(metrics, { clock: { monotonicMs: () => now, wallMs: () => now }, scheduler });
  for (const at of [100, 350, 449]) {
    now = at;
    due.shift()?.();
  }
  // On time; 150 ms late; a millisecond early, which timers may be by rounding.
  expect(recorded).toEqual([0, 0.15, 0]);
});

test("measuring the lag ends with its stop and leaves no timer", async () => {
  const { metrics, recorded } = recording();
  const time = createManualTime();
  const lag = observeEventLoopLag(metrics, time);
  expect(lag.lastMs()).toBeUndefined();
  await time.advance(250);
  expect(recorded).toHaveLength(2);
  expect(lag.lastMs()).toBe(0);
  lag.stop();
  expect(time.pending()).toBe(0);
});
