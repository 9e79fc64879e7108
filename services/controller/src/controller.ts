/**
 * One controller: it follows the metadata, takes part in the election, and while it is the active controller it decides.
 * Everything impure comes in by `createController`, so that the simulator makes the very same controller.
 */
import type { DescService } from "@bufbuild/protobuf";
import { type Consensus, ConsensusError } from "@tidemark/consensus";
import type { ControllerId, DirectoryId } from "@tidemark/ids";
import type { MetadataImage } from "@tidemark/metadata";
import { AdminService } from "@tidemark/proto/admin/v1";
import { MetadataService } from "@tidemark/proto/admin/v1/metadata";
import { ClusterService } from "@tidemark/proto/cluster/v1";
import {
  DEFAULT_DEADLINE,
  type DeadlineRule,
  type Probe,
  type ServedService,
  type ServeOptions,
  type ServiceImpl,
  serve,
} from "@tidemark/rpc";
import { delay, type Runtime } from "@tidemark/runtime";
import { StartRefusedError } from "@tidemark/service";
import { assembleCore } from "./assemble-core.ts";
import type { QuorumDetails } from "./backend.ts";
import { type ClusterIdentity, checkCluster } from "./commands/term-start.ts";
import type { ControllerCore } from "./core.ts";
import { sealedText } from "./errors.ts";
import type { ControllerEvent } from "./events/controller-events.ts";
import type { ControllerGuards } from "./experiment.ts";
import { createAdminService } from "./services/admin-service.ts";
import { createClusterService } from "./services/cluster-service.ts";
import { createMetadataService } from "./services/metadata-service.ts";
import type { ControllerSettings } from "./settings.ts";
import type { ElectionTraces } from "./tracing/election-tracer.ts";
import type { DescribeReplicas } from "./unclean/describe-replicas.ts";

export interface ControllerOptions {
  readonly controllerId: ControllerId;
  readonly directoryId: DirectoryId;
  readonly cluster: ClusterIdentity;
  /** This controller's handle on the store. It is closed by `stop`. */
  readonly consensus: Consensus;
  /** Name of the backend, to be shown to people and for nothing else. */
  readonly backend: string;
  /** What the backend knows of its own quorum, to be shown likewise. Absent: it has none. */
  readonly quorum?: (() => QuorumDetails) | undefined;
  /** Says who is to be active when this controller resigns next. Absent: the backend cannot choose. */
  readonly preferNext?: ((directory: DirectoryId) => void) | undefined;
  readonly settings: ControllerSettings;
  /** Tests turn single guards off. Absent: every guard on. */
  readonly guards?: ControllerGuards | undefined;
  readonly runtime: Runtime;
  readonly probe: Probe;
  /** Asks brokers how far their logs go, before an unclean election. */
  readonly describeReplicas: DescribeReplicas;
  /** Where the spans of elections hang; told to brokers beside the elections. */
  readonly traces: ElectionTraces;
  readonly onEvent: (event: ControllerEvent) => void;
  /** Told whenever this controller learns of an active one, itself or another, or that there is none. Absent: nobody asks. */
  readonly onLed?: ((isLed: boolean) => void) | undefined;
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

/** How long a stop waits until its leadership is given up. */
const resignWaitMs = 1000;

export function createController(options: ControllerOptions): Controller {
  const { consensus, controllerId, directoryId, runtime } = options;
  const stopping = new AbortController();
  const running: Promise<void>[] = [];
  let endpoint = "";
  let stopped: Promise<void> | undefined;
  /** A store that is sealed while controllers run keeps them as they are; a start on it would wait for ever. */
  let hasStarted = false;

  const fail = (error: Error) => {
    if (!stopping.signal.aborted) options.onFatal(error);
  };
  const { core, leadership } = assembleCore({ ...options, onFatal: fail });
  const { follower, role } = core;
  followSessions(core);
  follower.onStep(({ delta, image }) => {
    if (!delta.cluster || image.cluster === undefined) return;
    try {
      checkCluster(image, options.cluster);
      if (image.cluster.sealed && !hasStarted) throw new StartRefusedError(sealedText);
      hasStarted = true;
      options.onCluster(image.cluster.clusterId);
    } catch (error) {
      fail(error instanceof StartRefusedError ? error : new Error("A defect", { cause: error }));
    }
  });
  const stop = async () => {
    const resigned = new AbortController();
    stopping.abort();
    if (role.term !== undefined) {
      role.deactivate(role.term.epoch, "this controller stops");
      // A store that cannot be reached does not hold up the stop: its sessions end there by themselves.
      const waited = delay(runtime.scheduler, resignWaitMs, resigned.signal).catch(() => undefined);
      await Promise.race([consensus.resign().catch(ignoreClosed), waited]);
      resigned.abort();
    }
    await consensus.close();
    await Promise.all(running);
  };

  const about = { backend: options.backend, controllerId, endpoint: () => endpoint };
  return {
    admin: createAdminService(core, about),
    cluster: createClusterService(core, controllerId),
    metadata: createMetadataService(core, { ...options, consensus, leader: leadership.leader }),
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
      await consensus.join({ controllerId, directoryId, endpoint });
    },
    stop() {
      stopped ??= stop();
      return stopped;
    },
  };
}

/** Tells the tracker of every session that begins, changes or goes. */
function followSessions({ follower, sessions }: ControllerCore): void {
  follower.onStep(({ delta }) => {
    for (const { before, after } of delta.sessions) {
      if (after !== undefined) sessions.put(after);
      else if (before !== undefined) sessions.remove(before.brokerId);
    }
  });
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

function ignoreClosed(error: unknown): void {
  if (!(error instanceof ConsensusError)) throw error;
}
