import { loadCodecs } from "@tidemark/compression";
import { expect, test } from "vitest";
import { seedsToTest } from "../node/process.ts";
import { drawPlan } from "./plan.ts";
import { describeFailure } from "./report.ts";
import { simulate } from "./simulate.ts";

const { codecs } = await loadCodecs();
const run = (seed: number) =>
  simulate(seed, (random) => drawPlan(random, { replicationFactor: 1, durationMs: 20_000 }), codecs);

test("one seed run twice does the same, to the last event", async () => {
  const [first, second] = [await run(7), await run(7)];
  expect(second.hash).toBe(first.hash);
  expect(second).toEqual(first);
});

test.for(Array.from({ length: seedsToTest(2) }, (_, index) => index + 1))(
  "seed %i keeps every promise",
  async (seed) => {
    const result = await run(seed);
    expect(result.violations, describeFailure(result, `npm run sim -- --seed ${seed} --seconds 20`)).toEqual([]);
  },
);

test("three controllers that keep the metadata together keep every promise, and do the same twice", async () => {
  const bounds = { replicationFactor: 1, controllers: 3, durationMs: 20_000 };
  const onQuorum = (seed: number) => simulate(seed, (random) => drawPlan(random, bounds), codecs);
  const [first, second] = [await onQuorum(7), await onQuorum(7)];
  const line = "npm run sim -- --seed 7 --controllers 3 --seconds 20";
  expect(first.violations, describeFailure(first, line)).toEqual([]);
  expect(second.hash).toBe(first.hash);
});
