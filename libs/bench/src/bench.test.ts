import { describe, expect, test } from "vitest";
import { figure, median } from "./bench.ts";
import { benches } from "./benches.ts";

describe("figures", () => {
  test("name the least, the middle and the most of their runs", () => {
    expect(figure("x", "MB/s", [3, 1, 2])).toEqual({ name: "x", unit: "MB/s", min: 1, median: 2, max: 3 });
  });

  test("have the middle of the ratios run by run, which is not the ratio of the middles, with their spread", () => {
    const { ratio } = figure("x", "MB/s", [10, 20, 90], { to: "peer", values: [10, 40, 100] });
    expect(ratio).toEqual({ to: "peer", value: 0.9, min: 0.5, max: 1 });
  });

  test("of many runs say between which ratios their middle would lie in ever more of them, by their order alone", () => {
    const ratioOf = (count: number) => {
      const values = Array.from({ length: count }, (_, run) => ((run * 37) % count) + 1);
      return figure("x", "MB/s", values, { to: "peer", values: values.map(() => 1) }).ratio;
    };
    // Of 100 the 40th and the 61st: fewer than 40, or more than 60, of 100 coins show heads less than once in 20 times.
    expect(ratioOf(100)).toMatchObject({ value: 50, low: 40, high: 61 });
    // A sixth run is the first with which all of them lie on one side less than once in 20 times.
    expect(ratioOf(5)).not.toHaveProperty("low");
    expect(ratioOf(6)).toMatchObject({ value: 3, low: 1, high: 6 });
  });

  test("of an even count take the lower middle", () => {
    expect(median([4, 1, 3, 2])).toBe(2);
  });
});

test("what can be measured has a name of its own and says what it measures, the delay of a link among it", () => {
  expect(new Set(benches.map(({ name }) => name)).size).toBe(benches.length);
  for (const { about } of benches) expect(about).toMatch(/\w/);
  expect(benches.map(({ name }) => name)).toContain("rpc-delay");
});
