/** A controller in its process: directory, store, controller and servers, and back in the opposite order. */
import { formatEndpoint } from "@tidemark/config";
import type { Disk } from "@tidemark/disk";
import { controllerId, type DirectoryId } from "@tidemark/ids";
import { type ByteBudget, createRpcServer, type DeadlineRule, type RpcServer } from "@tidemark/rpc";
import { createDeferred } from "@tidemark/runtime";
import {
  advertisedEndpoint,
  createReadiness,
  describeServer,
  listenersOf,
  peerTls,
  queuedBytesBudget,
  type RunningService,
  type ServiceWorld,
  serverHooks,
} from "@tidemark/service";
import type { Backend, OpenBackend } from "./backend.ts";
import { type Controller, type ControllerOptions, createController, servicesOf } from "./controller.ts";
import { type ControllerDirectory, openControllerDirectory } from "./controller-directory.ts";
import { describeController } from "./describe-controller.ts";
import type { ControllerExperiment } from "./experiment.ts";
import { type ControllerValues, settingsFromConfig } from "./settings-from-config.ts";
import { createTeller } from "./tell.ts";
import { createCampaignRecorder } from "./tracing/campaigns.ts";
import { createCommitContext } from "./tracing/commit-context.ts";
import { type ControllerElectionTracer, createControllerElectionTracer } from "./tracing/controller-election-tracer.ts";
import { createElectionTracer } from "./tracing/election-tracer.ts";
import { createDescribeReplicas, type DescribeReplicas } from "./unclean/describe-replicas.ts";

export interface ControllerStartOptions extends ServiceWorld {
  readonly values: ControllerValues;
  /** Absolute path of the controller's directory. */
  readonly directory: string;
  readonly openBackend: OpenBackend;
  /** Noted with the directory, so that the start on another backend can say where the metadata are. Absent: it is not. */
  readonly backendName?: string;
  /** Absent, as in the program: every protection in place, nobody looks on. */
  readonly experiment?: ControllerExperiment | undefined;
  /** The id that the directory was formatted with, where the backend has it formatted. Absent: it has not. */
  readonly formattedAs?: (disk: Disk) => Promise<DirectoryId | undefined>;
}

/**
 * Resolves when there is an active controller, this one or another. Throws what refuses the start, with nothing left
 * open: StartRefusedError, the store's error, or the TidemarkError of a listener.
 */
export async function startController(options: ControllerStartOptions): Promise<RunningService> {
  const { values, runtime } = options;
  const disk = options.openDisk();
  const closing: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const close of closing.splice(0).reverse()) await close();
  };
  // What cannot go on before it answers is a start that is refused.
  const refused = createDeferred<never>();
  refused.promise.catch(() => undefined);
  let onFatal: (error: Error) => void = refused.reject;
  try {
    const directory = await openControllerDirectory({
      disk,
      random: runtime.random,
      path: options.directory,
      nodeId: values["node.id"],
      clusterId: values["cluster.id"],
      backend: options.backendName,
      formattedAs: await options.formattedAs?.(disk),
    });
    closing.push(() => directory.release());
    const tls = await peerTls(values, disk);
    const listening: { at?: Awaited<ReturnType<RpcServer["start"]>> } = {};
    const traces = createTraces();
    const backend = await options.openBackend({
      disk,
      directory: options.directory,
      directoryId: directory.directoryId,
      runtime,
      telemetry: options.telemetry,
      traces,
      transport: options.transport,
      tls,
      endpoint: () => listening.at && formatEndpoint(advertisedEndpoint(values, "internal", listening.at)),
      onFatal: (error) => onFatal(error),
    });
    closing.push(() => backend.close());
    const describeReplicas = createDescribeReplicas(options.transport, {
      runtime,
      ...(tls === undefined ? {} : { tls }),
    });
    const controller = makeController(
      { ...options, onFatal: (error) => onFatal(error), onLed: (isLed) => readiness.set(isLed) },
      { directory, backend, describeReplicas, traces },
    );
    closing.push(() => controller.stop());
    const processBudget = queuedBytesBudget(values, options.telemetry);
    const server = await makeServer(options, { controller, backend, disk, processBudget });
    const readiness = createReadiness(server);
    closing.push(() => {
      readiness.end();
      return server.stop();
    });
    const bound = await server.start();
    listening.at = bound;
    const internal = formatEndpoint(advertisedEndpoint(values, "internal", bound));
    const endpoints = { client: formatEndpoint(advertisedEndpoint(values, "client", bound)), internal };
    await controller.start(internal);
    await Promise.race([controller.led, refused.promise]);
    onFatal = options.onFatal;
    const describe = () => ({ ...describeServer(server, processBudget), ...describeController(controller) });
    return { endpoints, isReady: () => readiness.isReady, describe, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What is shared with the backend, which is opened before there is a controller. */
function createTraces() {
  const own: { election?: Pick<ControllerElectionTracer, "current"> } = {};
  const commit = createCommitContext();
  const underWay = () => commit.parent ?? own.election?.current();
  return { commit, campaigns: createCampaignRecorder(), own, underWay };
}

function makeController(
  options: ControllerStartOptions & Pick<ControllerOptions, "onLed">,
  {
    directory,
    backend,
    describeReplicas,
    traces: { commit, campaigns, own },
  }: {
    readonly directory: ControllerDirectory;
    readonly backend: Backend;
    readonly describeReplicas: DescribeReplicas;
    readonly traces: ReturnType<typeof createTraces>;
  },
): Controller {
  const { values, runtime, transport, telemetry, onLed, onFatal, experiment } = options;
  const traces = createElectionTracer({
    tracer: telemetry.tracer,
    runtime,
    backend: backend.name,
    commit,
    brokers: () => [...controller.image.sessions.keys()],
  });
  const controllerElection = createControllerElectionTracer({
    tracer: telemetry.tracer,
    clock: runtime.clock,
    backend: backend.name,
    controllerId: values["node.id"],
    campaigns,
  });
  own.election = controllerElection;
  const tell = createTeller({
    telemetry,
    state: { isActive: () => controller.isActive, image: () => controller.image },
    elections: traces,
    controllerElection,
  });
  const controller: Controller = createController({
    controllerId: controllerId(values["node.id"]),
    directoryId: directory.directoryId,
    cluster: {
      configured: values["cluster.id"] ?? backend.clusterId,
      known: directory.clusterId,
      ...(directory.backend === undefined || directory.backend === backend.name
        ? {}
        : { movedFrom: directory.backend }),
    },
    consensus: experiment?.wrapConsensus?.(backend.consensus) ?? backend.consensus,
    backend: backend.name,
    quorum: backend.quorum,
    preferNext: backend.preferNext,
    settings: settingsFromConfig(values),
    guards: experiment?.guards,
    runtime,
    probe: transport.probe,
    describeReplicas,
    traces,
    onEvent(event) {
      tell(event);
      experiment?.onEvent?.(event);
    },
    onCluster: (clusterId) => {
      directory.belongTo(clusterId).catch((error: unknown) => {
        onFatal(error instanceof Error ? error : new Error(String(error)));
      });
    },
    onLed,
    onFatal,
  });
  return controller;
}

async function makeServer(
  options: ControllerStartOptions,
  of: {
    readonly controller: Controller;
    readonly backend: Backend;
    readonly disk: Disk;
    readonly processBudget: ByteBudget;
  },
): Promise<RpcServer> {
  const { controller, backend, disk, processBudget } = of;
  const { values, runtime, transport, telemetry } = options;
  const { client, internal } = servicesOf(controller, deadlineOf(values));
  return createRpcServer({
    runtime,
    transport,
    listeners: await listenersOf(values, { client, internal: [...internal, ...(backend.services ?? [])] }, disk),
    processBudget,
    hooks: serverHooks(telemetry),
  });
}

function deadlineOf(values: ControllerValues): DeadlineRule {
  return { defaultMs: values["request.timeout.ms"], maxMs: values["request.timeout.max.ms"] };
}
