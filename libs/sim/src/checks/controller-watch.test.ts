import type { ControllerEvent } from "@tidemark/controller";
import { expect, test } from "vitest";
import { watchController } from "./controller-watch.ts";
import { createViolations } from "./violations.ts";

/** The rules that are broken where these events come first, and then broker 1 is elected as sessions are ended. */
function rulesAfter(...before: readonly object[]): readonly string[] {
  const violations = createViolations({ nowMs: 0 });
  const tell = watchController(violations);
  const elected = { kind: "elected", topic: "t", partition: 0, leaderEpoch: 2, newLeader: 1 };
  const decision = { kind: "committing", command: "end sessions", epoch: 1, events: [elected] };
  for (const event of [...before, decision]) tell(event as ControllerEvent);
  return violations.found.map(({ rule }) => rule);
}

const over = { kind: "sessionOver", brokerId: 1 };

test("a broker that was found gone is not elected", () => {
  expect(rulesAfter(over)).toEqual(["a broker was elected that was found gone"]);
  expect(rulesAfter(over, { kind: "sessionBack", brokerId: 2 })).toHaveLength(1);
});

test("a broker that was heard again before the end of its session was decided may be", () => {
  expect(rulesAfter(over, { kind: "sessionBack", brokerId: 1 })).toEqual([]);
});

test("a broker that registered anew may be, also where its older session was found gone while that was committed", () => {
  const registered = { events: [{ kind: "brokerRegistered", brokerId: 1, brokerEpoch: 2 }] };
  const committing = { kind: "committing", command: "register broker", epoch: 1, ...registered };
  const decided = { kind: "decided", command: "register broker", epoch: 1, ...registered };
  expect(rulesAfter(over, committing)).toEqual([]);
  expect(rulesAfter(committing, over, decided)).toEqual([]);
  expect(rulesAfter(committing, decided, over)).toHaveLength(1);
});
