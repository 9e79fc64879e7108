import { brokerSchema, readSources } from "@tidemark/config";
import { expect, test } from "vitest";
import { idleTickMs } from "./partition/tick.ts";
import { replicationSettings } from "./replication-settings.ts";

function settingsWith(lagTimeMaxMs: number) {
  const flags = [
    "--node.id=1",
    "--controller.endpoints=c:1",
    "--log.dirs=/log",
    `--replica.lag.time.max.ms=${lagTimeMaxMs}`,
  ];
  const timers = ["--broker.session.timeout.ms=1200", "--broker.heartbeat.interval.ms=200"];
  const environment = { file: undefined, environment: {}, flags: [...flags, ...timers], baseDirectory: "/" };
  const read = readSources(brokerSchema, environment);
  if (!read.ok) throw new Error(JSON.stringify(read.problems));
  return replicationSettings(read.config.values);
}

test("a leader that stood still for more than a quarter of the lag time holds that against no follower", () => {
  expect(settingsWith(10_000).stallMs).toBe(2500);
});

test("the pause between two ticks of an idle partition is never taken for a stall", () => {
  expect(settingsWith(2100).stallMs).toBeGreaterThan(idleTickMs);
});
