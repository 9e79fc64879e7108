/** Which spans the lines name that tell of a controller's own beginning and end. */
import { controllerEpoch, revision } from "@tidemark/ids";
import { emptyImage } from "@tidemark/metadata";
import { createManualTime } from "@tidemark/runtime";
import { spanNames } from "@tidemark/telemetry";
import { expect, it } from "vitest";
import type { ControllerEvent } from "./events/controller-events.ts";
import { createTeller } from "./tell.ts";
import { keepSpans } from "./testing/kept-telemetry.ts";
import { createCampaignRecorder } from "./tracing/campaigns.ts";
import { createControllerElectionTracer } from "./tracing/controller-election-tracer.ts";

const epoch = controllerEpoch(4);
const leading: ControllerEvent = { kind: "believed", belief: "leading", leader: undefined, epoch };
const none: ControllerEvent = { kind: "believed", belief: "none", leader: undefined, epoch: undefined };
const activated: ControllerEvent = { kind: "activated", epoch, revision: revision(9n), sessions: 3 };
const tookUp: ControllerEvent = { kind: "tookUp", epoch };
const deactivated: ControllerEvent = { kind: "deactivated", epoch, why: "the store says that leadership ended" };

it.each([
  ["names the election that it ends", [leading, activated, none, deactivated], true],
  ["names none where the election was over", [leading, activated, tookUp, none, deactivated], false],
])("that a controller is active no more %s", async (_, events, isNamed) => {
  const time = createManualTime();
  const { spans, lines, telemetry } = await keepSpans(time);
  const { tracer } = telemetry;
  const campaigns = createCampaignRecorder();
  const tell = createTeller({
    telemetry,
    state: { isActive: () => true, image: () => emptyImage },
    elections: { onEvent: () => undefined, committing: () => undefined },
    controllerElection: createControllerElectionTracer({
      tracer,
      clock: time.clock,
      backend: "twin",
      controllerId: 1,
      campaigns,
    }),
  });
  for (const event of events) tell(event);
  const election = spans.find(({ name }) => name === spanNames.controllerElection)?.spanContext().spanId;
  expect(election).toBeDefined();
  const told = lines.map((line) => JSON.parse(line) as { readonly message: string; readonly span_id?: string });
  expect(told.map((line) => [line.message, line.span_id])).toEqual([
    ["active controller", election],
    ["active controller no more", isNamed ? election : undefined],
  ]);
});
