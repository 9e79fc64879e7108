/**
 * The controller's program: settings, telemetry, the consensus backend (this is the only place that names one), the
 * controller, its servers, and a clean stop on SIGTERM and SIGINT.
 *
 * Exit codes: 0 after a clean stop, 1 when the controller cannot go on, 2 for wrong settings, 3 for a refused start.
 */
import process from "node:process";
import { crc32c } from "@tidemark/compression";
import { controllerSchema, formatEndpoint, formatProblems, loadConfig, otelEnvironment } from "@tidemark/config";
import { openSingleStore } from "@tidemark/consensus";
import { createNodeRuntime } from "@tidemark/runtime";
import { startTelemetry } from "@tidemark/telemetry";
import type { OpenBackend } from "./backend.ts";
import { runController } from "./run-controller.ts";
import type { ControllerConfig } from "./settings-from-config.ts";

const exitCodes = { fatal: 1, settings: 2, refused: 3 } as const;

/** One node with one file. */
const openSingle: OpenBackend = async ({ disk, directory, runtime }) => {
  const store = await openSingleStore({ disk, directory: `${directory}/single`, crc32c, runtime });
  return { name: "single", consensus: store.candidate(), close: () => store.close() };
};

const loaded = loadConfig(controllerSchema);
if (!loaded.ok) {
  process.stderr.write(`${formatProblems(loaded.problems)}\n`);
  process.exit(exitCodes.settings);
}
await run(loaded.config);

async function run(config: ControllerConfig): Promise<void> {
  const runtime = createNodeRuntime();
  const nodeId = config.values["node.id"];
  const exit = async (code: number, line?: string) => {
    await telemetry.shutdown();
    if (line !== undefined) process.stderr.write(`${line}\n`);
    process.exit(code);
  };
  const telemetry = await startTelemetry({
    service: "tidemark-controller",
    instanceId: `controller-${nodeId}`,
    runtime,
    environment: otelEnvironment(),
    logLevel: config.values["log.level"],
    metricsListener: config.values["metrics.listener"],
  }).catch((error: unknown) => refuse(error));
  const started = runController({
    config,
    runtime,
    telemetry,
    openBackend: openSingle,
    onFatal: (error) => leave(exit(exitCodes.fatal, `Controller ${nodeId} cannot go on: ${error.message}`)),
  });
  const running = await started.catch(async (error: unknown) => {
    await telemetry.shutdown();
    return refuse(error);
  });
  const stop = () => leave(running.stop().then(() => exit(0)));
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
  // Whoever supervises this process is gone.
  process.once("disconnect", stop);
  const metrics = telemetry.metricsEndpoint;
  const endpoints = { ...running.endpoints, ...(metrics === undefined ? {} : { metrics: formatEndpoint(metrics) }) };
  process.stdout.write(`${JSON.stringify({ ready: true, role: "controller", id: nodeId, endpoints })}\n`);
}

/** A start that is refused: one line that says why, and nothing is left running. */
function refuse(error: unknown): never {
  process.stderr.write(`The controller does not start: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(exitCodes.refused);
}

/** The process is about to end: what fails on the way is told, and does not keep it. */
function leave(work: Promise<unknown>): void {
  work.catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(exitCodes.fatal);
  });
}
