/**
 * The trace of how this controller became the active one.
 *
 * | span                | from                                     | to                                             |
 * |---------------------|------------------------------------------|------------------------------------------------|
 * | controller election | the active one was lost, or the start    | what a predecessor left is repaired            |
 * | controller lost     | the same                                 | this controller's claim begins                 |
 * | campaign            | the votes are asked for, or the claim is | they are won                                   |
 * | catch up            | the store says that this one leads       | its image holds all that was committed before  |
 * | grant sessions      | then                                     | every broker has a full timeout again          |
 * | first action        | then                                     | what a predecessor left is repaired            |
 */
import type { Clock } from "@tidemark/runtime";
import {
  attributeNames,
  type SpanAttributes,
  type SpanName,
  spanNames,
  type TraceContext,
  type Tracer,
} from "@tidemark/telemetry";
import type { ControllerEvent } from "../events/controller-events.ts";
import type { CampaignRecorder } from "./campaigns.ts";

interface Parts {
  readonly tracer: Tracer;
  readonly clock: Clock;
  /** Name of the consensus backend. */
  readonly backend: string;
  readonly controllerId: number;
  readonly campaigns: Pick<CampaignRecorder, "takeWon">;
}

interface Lost {
  readonly atMs: number;
  readonly cause: "start" | "active controller lost";
  readonly attributes: SpanAttributes;
}

type Believed = Extract<ControllerEvent, { readonly kind: "believed" }>;
type Activated = Extract<ControllerEvent, { readonly kind: "activated" }>;

export interface ControllerElectionTracer {
  onEvent(event: ControllerEvent): void;
  /** The election that made this controller the active one, until it has repaired what a predecessor left. */
  current(): TraceContext | undefined;
}

/** Recorded whatever the sampling says. */
export function createControllerElectionTracer(parts: Parts): ControllerElectionTracer {
  const { tracer, clock } = parts;
  if (!tracer.enabled) return { onEvent: () => undefined, current: () => undefined };
  let lost: Lost | undefined = { atMs: clock.monotonicMs(), cause: "start", attributes: {} };
  let followed: SpanAttributes = {};
  let rising: { readonly lost: Lost; readonly leadingMs: number } | undefined;
  let active: ReturnType<typeof begin> | undefined;

  const believed = ({ belief, leader, epoch }: Believed) => {
    const atMs = clock.monotonicMs();
    switch (belief) {
      case "following":
        lost = undefined;
        rising = undefined;
        followed = { [attributeNames.controller]: leader, [attributeNames.controllerEpoch]: epoch };
        return;
      case "none":
        rising = undefined;
        lost ??= { atMs, cause: "active controller lost", attributes: followed };
        return;
      case "leading":
        rising = {
          lost: lost ?? { atMs, cause: "active controller lost", attributes: followed },
          leadingMs: atMs,
        };
        lost = undefined;
        followed = { [attributeNames.controller]: parts.controllerId, [attributeNames.controllerEpoch]: epoch };
    }
  };
  const onEvent = (event: ControllerEvent) => {
    switch (event.kind) {
      case "believed":
        return believed(event);
      case "activated":
        if (rising === undefined) return;
        active = begin(parts, event, rising);
        rising = undefined;
        return;
      case "tookUp":
        active?.end();
        active = undefined;
        return;
      case "deactivated":
        // What it has begun is told as far as it came: what hangs below it has been told.
        active?.end("NOT_CONTROLLER");
        active = undefined;
        return;
      default:
        return;
    }
  };
  return { onEvent, current: () => active?.context };
}

/** What has happened by now is recorded; what is yet to come has begun. */
function begin(
  { tracer, clock, backend, controllerId, campaigns }: Parts,
  { epoch, revision, sessions }: Activated,
  { lost, leadingMs }: { readonly lost: Lost; readonly leadingMs: number },
): { readonly context: TraceContext; readonly end: (error?: string) => void } {
  const activeMs = clock.monotonicMs();
  const campaign = campaigns.takeWon();
  const startMs = Math.min(lost.atMs, campaign?.startMs ?? leadingMs);
  const root = tracer.start({
    name: spanNames.controllerElection,
    parent: undefined,
    startMs,
    attributes: {
      [attributeNames.cause]: lost.cause,
      [attributeNames.backend]: backend,
      [attributeNames.controller]: controllerId,
      [attributeNames.controllerEpoch]: epoch,
    },
  });
  const child = (name: SpanName, from: number, to: number, attributes: SpanAttributes): TraceContext =>
    tracer.record({ name, parent: root.context, startMs: from, endMs: to, attributes });
  child(spanNames.controllerLost, startMs, campaign?.startMs ?? leadingMs, lost.attributes);
  if (campaign !== undefined) child(spanNames.campaign, campaign.startMs, campaign.endMs, campaign.attributes);
  child(spanNames.catchUp, leadingMs, activeMs, { [attributeNames.revision]: revision });
  child(spanNames.grantSessions, activeMs, activeMs, { [attributeNames.sessions]: sessions });
  const first = tracer.start({ name: spanNames.firstAction, parent: root.context, startMs: activeMs });
  return {
    context: root.context,
    end(error) {
      const endMs = clock.monotonicMs();
      first.end({ endMs, error });
      root.end({ endMs, error });
    },
  };
}
