import type { PartitionInput, PartitionView } from "@tidemark/replication";
import { expect, test } from "vitest";
import { createProduceWatch } from "./produce-watch.ts";
import { createViolations } from "./violations.ts";

const replica = { topicId: "t", partition: 0 } as never;
const producer = { producerId: 1n, producerEpoch: 0, baseSequence: 7 };
const produce = { kind: "produce", requestId: 1, acks: "all", producer } as never as PartitionInput;

function viewIn(leaderEpoch: number): PartitionView {
  return { highWatermark: 10n, state: { leaderEpoch } } as never;
}

/** A batch is acknowledged in leader epoch 2, and sent again to a leader of `leaderEpoch`, which refuses it. */
function rulesWhenRefusedIn(leaderEpoch: number): readonly string[] {
  const violations = createViolations({ nowMs: 0 });
  const watch = createProduceWatch(violations, () => false);
  const answered = { answer: [{ kind: "produced", requestId: 1, baseOffset: 5n, endOffset: 6n, leaderEpoch: 2 }] };
  const refused = { answer: [{ kind: "refused", requestId: 1, refusal: { reason: "NOT_ENOUGH_REPLICAS" } }] };
  watch.observe("a")(replica, () => viewIn(2), produce, answered as never);
  watch.observe("b")(replica, () => viewIn(leaderEpoch), produce, refused as never);
  return violations.found.map(({ rule }) => rule);
}

test("what was acknowledged is not refused for the size of the ISR later on", () => {
  expect(rulesWhenRefusedIn(2)).toEqual(["a repeat was refused for the size of the ISR"]);
  expect(rulesWhenRefusedIn(3)).toEqual(["a repeat was refused for the size of the ISR"]);
});

test("a deposed leader that did not hear of it may refuse what its successor acknowledged", () => {
  expect(rulesWhenRefusedIn(1)).toEqual([]);
});
