import { expect, test } from "vitest";
import { brokerSchema } from "./index.ts";
import { nearestKey } from "./nearest.ts";

test.each([
  ["session.timeout.ms", "broker.session.timeout.ms"],
  ["brokerSessionTimeoutMs", "broker.session.timeout.ms"],
  ["broker_session_timeout_ms", "broker.session.timeout.ms"],
  ["broker-session-timeout-ms", "broker.session.timeout.ms"],
  ["broker.sesion.timeout.ms", "broker.session.timeout.ms"],
  ["log.dir", "log.dirs"],
  ["listener", "listeners"],
  ["max.lag.time.replica.ms", "replica.lag.time.max.ms"],
  ["broker.id", "node.id"],
])("%s is taken for %s", (given, meant) => {
  expect(nearestKey(given, Object.keys(brokerSchema.settings))).toBe(meant);
});

test("nothing is near where nothing is known", () => {
  expect(nearestKey("a", [])).toBeUndefined();
});
