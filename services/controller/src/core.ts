import type { ControllerEpoch } from "@tidemark/ids";
import type { Draw, ElectionContext } from "@tidemark/metadata";
import { below, type Random, type Runtime } from "@tidemark/runtime";
import type { CommandQueue } from "./commands/command-queue.ts";
import type { Role } from "./commands/role.ts";
import type { ErrorReader } from "./errors.ts";
import type { ControllerEvent } from "./events/controller-events.ts";
import type { EventLog } from "./events/event-log.ts";
import type { ControllerGuards } from "./experiment.ts";
import type { SessionTracker } from "./sessions/session-tracker.ts";
import type { ControllerSettings } from "./settings.ts";
import type { MetadataFollower } from "./state/metadata-follower.ts";
import type { OfflineReplicaIndex } from "./state/offline-replicas.ts";
import type { ElectionTraces } from "./tracing/election-tracer.ts";
import type { UncleanElections } from "./unclean/unclean-elections.ts";

/** What the services answer from. */
export interface ControllerCore {
  readonly settings: ControllerSettings;
  readonly guards: ControllerGuards;
  readonly runtime: Runtime;
  readonly follower: MetadataFollower;
  readonly queue: CommandQueue;
  readonly role: Role;
  readonly sessions: SessionTracker;
  /** What brokers said that they cannot serve. */
  readonly offline: OfflineReplicaIndex;
  readonly unclean: UncleanElections;
  readonly events: EventLog;
  readonly traces: ElectionTraces;
  readonly readError: ErrorReader;
  readonly onEvent: (event: ControllerEvent) => void;
}

/** What an election needs beside the image. */
export function electionContext(
  core: Pick<ControllerCore, "settings" | "runtime" | "guards">,
  epoch: ControllerEpoch,
): ElectionContext {
  return {
    controllerEpoch: epoch,
    selection: core.settings.leaderSelection,
    draw: drawFrom(core.runtime.random),
    guards: core.guards,
  };
}

export function drawFrom(random: Random): Draw {
  return (limit) => below(random, limit);
}
