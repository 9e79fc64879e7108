import { endSessions } from "@tidemark/metadata";
import type { Runtime } from "@tidemark/runtime";
import { createCommandQueue } from "./commands/command-queue.ts";
import { createCommitter } from "./commands/committer.ts";
import { createLeadershipLoop, type LeadershipLoop } from "./commands/leadership-loop.ts";
import { createRole } from "./commands/role.ts";
import type { ControllerOptions } from "./controller.ts";
import { type ControllerCore, electionContext } from "./core.ts";
import { createErrorReader, type KnownController } from "./errors.ts";
import type { ControllerEvent } from "./events/controller-events.ts";
import { createEventLog } from "./events/event-log.ts";
import { allControllerGuards } from "./experiment.ts";
import { createSessionTracker } from "./sessions/session-tracker.ts";
import { createMetadataFollower } from "./state/metadata-follower.ts";
import { followOfflineReplicas } from "./state/offline-replicas.ts";
import { createUncleanElections } from "./unclean/unclean-elections.ts";

/** How much of the latest changes is kept for watchers that were away for a moment. */
const historyLimits = { batchesMax: 2000, changesMax: 50_000 };
const eventLimits = { electionsMax: 10_000, queuedMax: 10_000 };
const waitingMax = 1000;

/** A controller's parts, wired and not yet running. */
export function assembleCore(options: ControllerOptions): {
  readonly core: ControllerCore;
  readonly leadership: LeadershipLoop;
} {
  const { consensus, runtime, settings, onEvent, controllerId, guards = allControllerGuards } = options;
  const { clock } = runtime;
  const events = createEventLog(eventLimits);
  const tell = (event: ControllerEvent) => {
    if (event.kind === "decided") events.add(event.revision, clock.wallMs(), event.events);
    onEvent(event);
  };
  const follower = createMetadataFollower({
    consensus,
    historyLimits,
    onMalformed: (key, message) => tell({ kind: "malformedKey", key, message }),
  });
  const known = () => leadership.known() ?? knownByImage();
  const knownByImage = (): KnownController | undefined => {
    const active = follower.image.controller;
    if (active?.controllerId === undefined || active.controllerId === controllerId) return undefined;
    return { id: active.controllerId, endpoint: active.endpoint, controllerEpoch: active.controllerEpoch };
  };
  const readError = createErrorReader((thrown) => tell(defect(thrown)), known);
  const role = createRole({
    known,
    isSealed: () => follower.image.cluster?.sealed === true,
    onDeactivated: (epoch, why) => {
      sessions.end();
      tell({ kind: "deactivated", epoch, why });
    },
  });
  const commit = createCommitter({
    consensus,
    follower,
    role,
    clock,
    onEvent: tell,
    onUnknown: () => leadership.resign(),
    onPartial: () => leadership.repairLater(),
  });
  const queue = createCommandQueue({ consensus, follower, role, commit, clock, waitingMax, readError, onEvent: tell });
  const endEnded = oncePerRound(runtime, async () => {
    // What is found over in one round is decided in one decision (D9), unless that is what is taken out.
    const rounds = guards.decidesTogether ? 1 : sessions.takeEnded().length;
    for (let round = 0; round < rounds; round++) {
      await queue.submitOwn({
        name: "end sessions",
        decide: (image, epoch) => {
          const ended = sessions.takeEnded();
          return endSessions(image, guards.decidesTogether ? ended : ended.slice(0, 1), electionContext(core, epoch));
        },
      });
    }
  });
  const sessions = createSessionTracker({
    ...runtime,
    ...settings,
    probe: options.probe,
    onEnded: endEnded,
    onEvent: tell,
  });
  const { traces } = options;
  const parts = {
    settings,
    guards,
    runtime,
    follower,
    queue,
    role,
    sessions,
    offline: followOfflineReplicas(follower),
    events,
    traces,
    readError,
    onEvent: tell,
  };
  const core: ControllerCore = { ...parts, unclean: createUncleanElections(parts, options.describeReplicas) };
  const leadership = createLeadershipLoop(core, options);
  return { core, leadership };
}

/** Calls `run` after the input was read, and not again before it is done: what is found meanwhile goes with it. */
function oncePerRound(runtime: Runtime, run: () => Promise<unknown>): () => void {
  let isPending = false;
  const finish = () => {
    isPending = false;
  };
  return () => {
    if (isPending) return;
    isPending = true;
    runtime.scheduler.afterInput(() => {
      run().then(finish, finish);
    });
  };
}

function defect(thrown: unknown): ControllerEvent {
  return { kind: "defect", message: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown) };
}
