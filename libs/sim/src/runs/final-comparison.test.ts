import { loadCodecs } from "@tidemark/compression";
import { expect, test, vi } from "vitest";
import { drawPlan } from "./plan.ts";
import { simulate } from "./simulate.ts";

const { codecs } = await loadCodecs();

/** Two copies that differ, as bytes in the wrong place make them: no fault of the simulator does that. */
vi.mock(import("../checks/final-disks.ts"), async (original) => ({
  ...(await original()),
  findDifference: async () => "brokers 1 and 2 differ",
}));

test("a run compares the copies on the disks when it is over, and fails where they differ", {
  timeout: 120_000,
}, async () => {
  const bounds = { replicationFactor: 1, durationMs: 1000 };
  const result = await simulate(1, (random) => drawPlan(random, bounds), codecs);
  expect(result.violations.map(({ rule }) => rule)).toEqual(["replicas differ below the high watermark"]);
  expect(result.state.join("\n")).toMatch(/active in controller epoch \d+\n[^]*registered, running[^]* is led by \d /);
});
