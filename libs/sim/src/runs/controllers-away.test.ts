import { loadCodecs } from "@tidemark/compression";
import { expect, test } from "vitest";
import type { RandomTree } from "../engine/random-tree.ts";
import { aimedPlan } from "./aimed-plan.ts";
import type { RunPlan } from "./plan.ts";
import { describeFailure } from "./report.ts";
import { simulate } from "./simulate.ts";

const { codecs } = await loadCodecs();
const scenario = "controllersAway";

/** Time for one round of it. */
const durationMs = 64_000;

/** With little to do: what matters is that it goes on. */
function plan(random: RandomTree): RunPlan {
  const aimed = aimedPlan(random, { scenario, broken: {}, durationMs });
  const producers = aimed.producers.map((producer) => ({ ...producer, pauseMs: 250 }));
  return { ...aimed, producers, idempotent: { ...aimed.idempotent, pauseMs: 500 } };
}

test("22: without a controller for a minute brokers go on with acks=all and reads, and lose nothing when one returns", {
  timeout: 120_000,
}, async () => {
  const result = await simulate(1, plan, codecs);
  expect(result.violations, describeFailure(result, "controllersAway, seed 1")).toEqual([]);
  const begun = result.history.findIndex((line) => line.includes(scenario));
  const healed = result.history.findIndex((line) => line.includes("heal"));
  const told = result.history.slice(begun + 1, healed);
  expect(told.filter((line) => line.includes("in vain"))).toEqual([]);
  // Twelve looks at what is committed, and twelve reads.
  expect(told.filter((line) => line.includes("waited for")).length).toBeGreaterThanOrEqual(24);
  expect(result.records.acknowledged).toBeGreaterThan(200);
});
