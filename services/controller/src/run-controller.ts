/**
 * A controller's process, from its settings to its end: telemetry, directory, store, controller, servers, and back in
 * the opposite order. `main.ts` adds the real arguments, signals and streams, and names the backend.
 */
import { consensusChoice, formatProblem } from "@tidemark/config";
import { createNodeDisk, type Disk } from "@tidemark/disk";
import { controllerId } from "@tidemark/ids";
import { createProcessBudget, createRpcServer, type DeadlineRule, type RpcServer } from "@tidemark/rpc";
import { createDeferred, type Runtime } from "@tidemark/runtime";
import type { Telemetry } from "@tidemark/telemetry";
import type { Backend, OpenBackend } from "./backend.ts";
import { type Controller, createController, servicesOf } from "./controller.ts";
import { type ControllerDirectory, openControllerDirectory } from "./controller-directory.ts";
import { advertisedEndpoint, listenersOf } from "./listeners.ts";
import { tcpProbe } from "./node/tcp-probe.ts";
import { createReporter } from "./report.ts";
import { type ControllerConfig, settingsFromConfig } from "./settings-from-config.ts";

export interface RunningController {
  /** Where each listener is reached, host:port. */
  readonly endpoints: { readonly client: string; readonly internal: string };
  readonly controller: Controller;
  /** Leaves the election, ends calls and streams, frees the directory. A second call waits too. */
  stop(): Promise<void>;
}

export interface RunOptions {
  readonly config: ControllerConfig;
  readonly runtime: Runtime;
  readonly telemetry: Telemetry;
  readonly openBackend: OpenBackend;
  /** The controller cannot go on. */
  readonly onFatal: (error: Error) => void;
}

/**
 * Starts a controller and resolves when it answers. Throws what refuses the start, with a clear text and nothing left
 * open: ControllerRefusedError, the store's error, or the TidemarkError of a listener.
 */
export async function runController(options: RunOptions): Promise<RunningController> {
  const { config, runtime, telemetry } = options;
  for (const warning of config.warnings) telemetry.logger.warn(formatProblem(warning));
  const disk = createNodeDisk({ runtime });
  const closing: (() => Promise<unknown>)[] = [];
  let stopped: Promise<void> | undefined;
  const stopAll = async () => {
    for (const close of closing.splice(0).reverse()) await close();
  };
  const stop = () => (stopped ??= stopAll());
  /** What cannot go on before it answers is a start that is refused. */
  const refused = createDeferred<never>();
  refused.promise.catch(() => undefined);
  let onFatal: (error: Error) => void = refused.reject;
  try {
    const { directory: path } = consensusChoice(config.values);
    const directory = await openControllerDirectory({
      disk,
      random: runtime.random,
      path,
      nodeId: config.values["node.id"],
      clusterId: config.values["cluster.id"],
    });
    closing.push(() => directory.release());
    const backend = await options.openBackend({ disk, directory: path, runtime });
    closing.push(() => backend.close());
    const controller = makeController({ ...options, onFatal: (error) => onFatal(error) }, { directory, backend });
    closing.push(() => controller.stop());
    const server = await makeServer(options, controller, disk);
    closing.push(() => server.stop());
    const bound = await server.start();
    const endpoints = {
      client: advertisedEndpoint(config, "client", bound["client"]),
      internal: advertisedEndpoint(config, "internal", bound["internal"]),
    };
    await controller.start(endpoints.internal);
    await Promise.race([controller.led, refused.promise]);
    onFatal = options.onFatal;
    return { endpoints, controller, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function makeController(
  options: RunOptions,
  { directory, backend }: { readonly directory: ControllerDirectory; readonly backend: Backend },
): Controller {
  const { config, runtime, telemetry, onFatal } = options;
  const report = createReporter(telemetry, {
    isActive: () => controller.isActive,
    image: () => controller.image,
  });
  const controller: Controller = createController({
    controllerId: controllerId(config.values["node.id"]),
    directoryId: directory.directoryId,
    cluster: { configured: config.values["cluster.id"], known: directory.clusterId },
    consensus: backend.consensus,
    backend: backend.name,
    settings: settingsFromConfig(config),
    runtime,
    probe: tcpProbe,
    onEvent: report,
    onCluster: (clusterId) => {
      directory.belongTo(clusterId).catch((error: unknown) => {
        onFatal(error instanceof Error ? error : new Error(String(error)));
      });
    },
    onFatal,
  });
  return controller;
}

async function makeServer(
  { config, runtime, telemetry }: RunOptions,
  controller: Controller,
  disk: Disk,
): Promise<RpcServer> {
  const { values } = config;
  const deadline: DeadlineRule = { defaultMs: values["request.timeout.ms"], maxMs: values["request.timeout.max.ms"] };
  const queuedMax = values["queued.max.bytes"];
  return createRpcServer({
    runtime,
    listeners: await listenersOf(config, servicesOf(controller, deadline), disk),
    ...(queuedMax === undefined ? {} : { processBudget: createProcessBudget(queuedMax) }),
    hooks: {
      onDefect: (thrown, method) => {
        const error = thrown instanceof Error ? thrown : new Error(String(thrown));
        telemetry.logger.error("defect in a call", { method, error });
      },
      onExposed: (listener, host) => {
        telemetry.logger.warn("a listener is reachable from other machines without TLS", { listener, host });
      },
      onRefused: (refusal, address, listener) => {
        telemetry.logger.warn("connection refused by a limit", { refusal, address, listener });
      },
    },
  });
}
