/**
 * One controller: it follows the metadata, takes part in the election, and while it is the active controller it decides.
 * Everything impure comes in by `createController`, so that the simulator makes the very same controller.
 */
import type { DescService } from "@bufbuild/protobuf";
import { type Consensus, ConsensusError } from "@tidemark/consensus";
import type { ControllerId, DirectoryId } from "@tidemark/ids";
import { endSessions, type MetadataImage } from "@tidemark/metadata";
import { AdminService } from "@tidemark/proto/admin/v1";
import { MetadataService } from "@tidemark/proto/admin/v1/metadata";
import { ClusterService } from "@tidemark/proto/cluster/v1";
import {
  DEFAULT_DEADLINE,
  type DeadlineRule,
  type ServedService,
  type ServeOptions,
  type ServiceImpl,
  serve,
} from "@tidemark/rpc";
import type { Runtime } from "@tidemark/runtime";
import { createCommandQueue } from "./commands/command-queue.ts";
import { createLeadershipLoop } from "./commands/leadership-loop.ts";
import { createRole } from "./commands/role.ts";
import { type ClusterIdentity, ControllerRefusedError, checkCluster } from "./commands/term-start.ts";
import { type ControllerCore, electionContext } from "./core.ts";
import { createErrorReader, type KnownController } from "./errors.ts";
import type { ControllerEvent } from "./events/controller-events.ts";
import { createEventLog } from "./events/event-log.ts";
import { createAdminService } from "./services/admin-service.ts";
import { createClusterService } from "./services/cluster-service.ts";
import { createMetadataService } from "./services/metadata-service.ts";
import type { Probe } from "./sessions/probe.ts";
import { createSessionTracker, type SessionTracker } from "./sessions/session-tracker.ts";
import type { ControllerSettings } from "./settings.ts";
import { createMetadataFollower, type MetadataFollower } from "./state/metadata-follower.ts";

export interface ControllerOptions {
  readonly controllerId: ControllerId;
  readonly directoryId: DirectoryId;
  readonly cluster: ClusterIdentity;
  /** This controller's handle on the store. It is closed by `stop`. */
  readonly consensus: Consensus;
  /** Name of the backend, to be shown to people and for nothing else. */
  readonly backend: string;
  readonly settings: ControllerSettings;
  readonly runtime: Runtime;
  readonly probe: Probe;
  readonly onEvent: (event: ControllerEvent) => void;
  /** The cluster that the store belongs to is known. Called once. */
  readonly onCluster: (clusterId: string) => void;
  /** This controller cannot go on: another cluster's store, or the store failed. Its process is to end. */
  readonly onFatal: (error: Error) => void;
}

export interface Controller {
  readonly admin: ServiceImpl<typeof AdminService>;
  readonly metadata: ServiceImpl<typeof MetadataService>;
  readonly cluster: ServiceImpl<typeof ClusterService>;
  /**
   * Follows the metadata and joins the election. `endpoint` is where brokers and gateways reach this controller's
   * `internal` listener, host:port. Rejects with ConsensusError where the store does not take it.
   */
  start(endpoint: string): Promise<void>;
  /** Resolves when there is an active controller, this one or another: from then on calls are answered or sent on. */
  readonly led: Promise<void>;
  readonly isActive: boolean;
  /** The metadata as this controller has them. */
  readonly image: MetadataImage;
  /** Gives leadership up, leaves the election and ends every stream. A second call waits too. */
  stop(): Promise<void>;
}

/** How much of the latest changes is kept for watchers that were away for a moment. */
const historyLimits = { batchesMax: 2000, changesMax: 50_000 };
const eventLimits = { electionsMax: 10_000, queuedMax: 10_000 };
const waitingMax = 1000;

export function createController(options: ControllerOptions): Controller {
  const { consensus, runtime, settings, onEvent } = options;
  const stopping = new AbortController();
  let endpoint = "";
  let stopped: Promise<void> | undefined;
  const running: Promise<void>[] = [];

  const fail = (error: Error) => {
    if (!stopping.signal.aborted) options.onFatal(error);
  };
  const follower = createMetadataFollower({
    consensus,
    historyLimits,
    onMalformed: (key, message) => onEvent({ kind: "malformedKey", key, message }),
  });
  const known = () => leadership.known() ?? knownByImage(follower, options.controllerId);
  const readError = createErrorReader(
    (thrown) => onEvent({ kind: "defect", message: thrown instanceof Error ? (thrown.stack ?? "") : String(thrown) }),
    known,
  );
  const events = createEventLog(eventLimits);
  const tell = (event: ControllerEvent) => {
    if (event.kind === "decided") events.add(event.revision, runtime.clock.wallMs(), event.events);
    onEvent(event);
  };
  const role = createRole({
    known,
    onDeactivated: (epoch, why) => {
      sessions.end();
      tell({ kind: "deactivated", epoch, why });
    },
  });
  const queue = createCommandQueue({
    consensus,
    follower,
    role,
    clock: runtime.clock,
    waitingMax,
    readError,
    onEvent: tell,
    onUnknown: () => leadership.resign(),
    onPartial: () => leadership.repairLater(),
  });
  const sessions: SessionTracker = createSessionTracker({
    clock: runtime.clock,
    scheduler: runtime.scheduler,
    sessionTimeoutMs: settings.sessionTimeoutMs,
    connectionGraceMs: settings.connectionGraceMs,
    probe: options.probe,
    onEnded: oncePerRound(runtime, () =>
      queue.submitOwn({
        name: "end sessions",
        decide: (image, epoch) => endSessions(image, sessions.takeEnded(), electionContext(core, epoch)),
      }),
    ),
    onEvent: tell,
  });
  const core: ControllerCore = { settings, runtime, follower, queue, role, sessions, events, readError, onEvent: tell };
  const leadership = createLeadershipLoop(core, {
    consensus,
    controllerId: options.controllerId,
    cluster: options.cluster,
    onFatal: fail,
  });

  follower.onStep(({ delta, image }) => {
    for (const { before, after } of delta.sessions) {
      if (after !== undefined) sessions.put(after);
      else if (before !== undefined) sessions.remove(before.brokerId);
    }
    if (!delta.cluster || image.cluster === undefined) return;
    try {
      checkCluster(image, options.cluster);
      options.onCluster(image.cluster.clusterId);
    } catch (error) {
      fail(error instanceof ControllerRefusedError ? error : new Error("A defect", { cause: error }));
    }
  });

  const stop = async () => {
    stopping.abort();
    if (role.term !== undefined) {
      role.deactivate(role.term.epoch, "this controller stops");
      await consensus.resign().catch(ignoreClosed);
    }
    await consensus.close();
    await Promise.all(running);
  };

  const about = { backend: options.backend, controllerId: options.controllerId, endpoint: () => endpoint };
  return {
    admin: createAdminService(core, about),
    cluster: createClusterService(core),
    metadata: createMetadataService(core, { consensus, backend: options.backend, leader: leadership.leader }),
    led: leadership.led,
    get isActive() {
      return role.term !== undefined;
    },
    get image() {
      return follower.image;
    },
    async start(at) {
      endpoint = at;
      running.push(follower.run(stopping.signal).catch(fail), leadership.run().catch(fail));
      const { controllerId, directoryId } = options;
      await consensus.join({ controllerId, directoryId, endpoint });
    },
    stop() {
      stopped ??= stop();
      return stopped;
    },
  };
}

/**
 * The services of a controller as its listeners serve them: `internal` has all, `client` what people ask for. The
 * deadline is that of calls with one answer.
 */
export function servicesOf(
  { admin, metadata, cluster }: Controller,
  deadline: DeadlineRule = DEFAULT_DEADLINE,
): { readonly client: readonly ServedService[]; readonly internal: readonly ServedService[] } {
  const client = [
    serve(AdminService, admin, { rules: rulesOf(AdminService, deadline) }),
    serve(MetadataService, metadata, { rules: rulesOf(MetadataService, deadline) }),
  ];
  const brokers = serve(ClusterService, cluster, { rules: rulesOf(ClusterService, deadline) });
  return { client, internal: [...client, brokers] };
}

function rulesOf<Desc extends DescService>(
  service: Desc,
  deadline: DeadlineRule,
): NonNullable<ServeOptions<Desc>["rules"]> {
  const unary = service.methods.filter((method) => method.methodKind === "unary");
  return Object.fromEntries(unary.map((method) => [method.localName, { deadline }])) as NonNullable<
    ServeOptions<Desc>["rules"]
  >;
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

function knownByImage(follower: MetadataFollower, ownId: ControllerId): KnownController | undefined {
  const active = follower.image.controller;
  if (active?.controllerId === undefined || active.controllerId === ownId) return undefined;
  return { id: active.controllerId, endpoint: active.endpoint, controllerEpoch: active.controllerEpoch };
}

function ignoreClosed(error: unknown): void {
  if (!(error instanceof ConsensusError)) throw error;
}
