import { controllerEpoch, controllerId, revision } from "@tidemark/ids";
import { createManualTime } from "@tidemark/runtime";
import type { Span, SpanEnd, SpanStart, Tracer } from "@tidemark/telemetry";
import { describe, expect, it } from "vitest";
import type { ControllerEvent } from "../events/controller-events.ts";
import { createCampaignRecorder } from "./campaigns.ts";
import { createControllerElectionTracer } from "./controller-election-tracer.ts";

/** A controller with id 2, whose spans are kept when they end. */
function setup() {
  const time = createManualTime();
  const spans: {
    readonly name: string;
    readonly ms: readonly [number, number];
    readonly attributes: object;
    readonly error: string | undefined;
  }[] = [];
  const now = () => time.clock.monotonicMs();
  const start = ({ name, startMs = now(), attributes = {} }: SpanStart) => ({
    context: { traceId: "", spanId: "", sampled: true, traceState: undefined },
    end: ({ endMs = now(), error }: SpanEnd = {}) => spans.push({ name, ms: [startMs, endMs], attributes, error }),
  });
  const tracer = {
    enabled: true,
    start: (given: SpanStart) => start(given) as unknown as Span,
    record: (given: SpanStart & SpanEnd) => {
      const span = start(given);
      span.end(given);
      return span.context;
    },
  } as unknown as Tracer;
  const campaigns = createCampaignRecorder();
  const options = { tracer, clock: time.clock, backend: "raft", controllerId: 2, campaigns };
  const { onEvent: tell, current } = createControllerElectionTracer(options);
  return { time, spans, campaigns, tell, current };
}

const epoch = controllerEpoch(4);
const none: ControllerEvent = { kind: "believed", belief: "none", leader: undefined, epoch: undefined };
const following: ControllerEvent = {
  kind: "believed",
  belief: "following",
  leader: controllerId(1),
  epoch: controllerEpoch(3),
};
const leading: ControllerEvent = { kind: "believed", belief: "leading", leader: undefined, epoch };
const activated: ControllerEvent = { kind: "activated", epoch, revision: revision(9n), sessions: 3 };
const tookUp: ControllerEvent = { kind: "tookUp", epoch };
const deactivated: ControllerEvent = { kind: "deactivated", epoch, why: "the store says that leadership ended" };

describe("a controller that becomes the active one", () => {
  it("tells it from the loss of the one before to its first action, with the campaign that it won", async () => {
    const { time, spans, campaigns, tell } = setup();
    tell(following);
    await time.advance(1000);
    tell(none);
    await time.advance(500);
    campaigns.won({ startMs: 1200, endMs: 1500, attributes: { "tidemark.raft.term": 4 } });
    tell(leading);
    await time.advance(10);
    tell(activated);
    await time.advance(20);
    tell(tookUp);
    expect(spans).toMatchObject([
      {
        name: "controller lost",
        ms: [1000, 1200],
        attributes: { "tidemark.controller": 1, "tidemark.controller_epoch": 3 },
      },
      { name: "campaign", ms: [1200, 1500], attributes: { "tidemark.raft.term": 4 } },
      { name: "catch up", ms: [1500, 1510], attributes: { "tidemark.revision": 9n } },
      { name: "grant sessions", ms: [1510, 1510], attributes: { "tidemark.sessions": 3 } },
      { name: "first action", ms: [1510, 1530] },
      {
        name: "controller election",
        ms: [1000, 1530],
        attributes: { "tidemark.cause": "active controller lost", "tidemark.controller": 2 },
      },
    ]);
  });

  it("tells the first time from its start, and without a campaign where the backend has none", async () => {
    const { time, spans, tell } = setup();
    await time.advance(30);
    tell(leading);
    tell(activated);
    tell(tookUp);
    expect(spans.map(({ name }) => name)).not.toContain("campaign");
    expect(spans.at(-1)).toMatchObject({
      name: "controller election",
      ms: [0, 30],
      attributes: { "tidemark.cause": "start" },
    });
  });

  it.each([
    ["nobody is", [none, deactivated]],
    ["another one is", [following, deactivated]],
    ["it is itself anew", [leading, deactivated]],
    ["it knows only that it is not itself", [deactivated, tookUp]],
  ])("tells how far it came where %s active before it has repaired what was left", async (_, events) => {
    const { time, spans, tell, current } = setup();
    tell(leading);
    tell(activated);
    await time.advance(20);
    for (const event of events) tell(event);
    expect(spans.map(({ name, ms, error }) => [name, ms[1], error])).toEqual([
      ["controller lost", 0, undefined],
      ["catch up", 0, undefined],
      ["grant sessions", 0, undefined],
      ["first action", 20, "NOT_CONTROLLER"],
      ["controller election", 20, "NOT_CONTROLLER"],
    ]);
    expect(current()).toBeUndefined();
  });

  it("tells nothing where another one has won, or where the belief passed before it was active", () => {
    const { spans, tell } = setup();
    for (const event of [none, following, none, leading, following, activated, tookUp]) tell(event);
    expect(spans).toEqual([]);
  });
});
