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

  test("of an even count take the lower middle", () => {
    expect(median([4, 1, 3, 2])).toBe(2);
  });
});

test("what can be measured has a name of its own and says what it measures, the delay of a link among it", () => {
  expect(new Set(benches.map(({ name }) => name)).size).toBe(benches.length);
  for (const { about } of benches) expect(about).toMatch(/\w/);
  expect(benches.map(({ name }) => name)).toContain("rpc-delay");
});
