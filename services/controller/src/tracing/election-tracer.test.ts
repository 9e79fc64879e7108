import { brokerId, controllerEpoch, leaderEpoch, partitionIndex, topicId } from "@tidemark/ids";
import type { ElectionEvent } from "@tidemark/metadata";
import { createManualTime } from "@tidemark/runtime";
import type { Span, Tracer } from "@tidemark/telemetry";
import { expect, test } from "vitest";
import { createCommitContext } from "./commit-context.ts";
import { createElectionTracer } from "./election-tracer.ts";

/** Numbers its spans. */
function numbering(): Pick<Tracer, "enabled" | "start" | "record"> {
  let spans = 0;
  const contextOf = (number: number) => ({
    traceId: "a".repeat(32),
    spanId: number.toString(16).padStart(16, "0"),
    sampled: true,
    traceState: undefined,
  });
  const nothing = () => undefined;
  return {
    enabled: true,
    start: (): Span => ({ context: contextOf(++spans), set: nothing, link: nothing, event: nothing, end: nothing }),
    record: () => contextOf(++spans),
  };
}

test("the part of each partition in an election is found without looking at the others", () => {
  const partitions = 1000;
  let looks = 0;
  const elections = Array.from({ length: partitions }, (_, index): ElectionEvent => {
    const event = {
      kind: "elected",
      topicId: topicId("00000000-0000-4000-8000-000000000001"),
      topic: "t",
      cause: "session timeout",
      rule: "isr",
      oldLeader: brokerId(1),
      newLeader: brokerId(2),
      leaderEpoch: leaderEpoch(2),
      isr: [brokerId(2)],
      elr: [],
      get partition() {
        looks++;
        return partitionIndex(index);
      },
    } as const;
    return event;
  });
  const tracer = createElectionTracer({
    tracer: numbering() as Tracer,
    runtime: createManualTime(),
    backend: "twin",
    commit: createCommitContext(),
    brokers: () => [],
  });
  const committing = { kind: "committing", command: "end sessions", epoch: controllerEpoch(1), durationMs: 0 } as const;
  tracer.onEvent({ ...committing, events: elections });
  looks = 0;
  const spanIds = new Set(elections.map((election) => tracer.committing(election)?.spanId));
  expect(spanIds.size).toBe(partitions);
  expect(spanIds.has(undefined)).toBe(false);
  expect(spanIds.has(tracer.committing()?.spanId)).toBe(false);
  expect(looks).toBeLessThanOrEqual(2 * partitions);
});
