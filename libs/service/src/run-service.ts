import process from "node:process";
import {
  type Config,
  formatEndpoint,
  formatProblem,
  formatProblems,
  helpText,
  loadConfig,
  otelEnvironment,
  processInputs,
  type Schema,
  type Settings,
  type Values,
} from "@tidemark/config";
import { createNodeDisk, reserveThreads } from "@tidemark/disk";
import { grpcTransport, type RpcServerHooks } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import {
  extractTraceContext,
  type LogLevel,
  type ServiceName,
  startTelemetry,
  type Telemetry,
} from "@tidemark/telemetry";
import { debugPage, stateOf } from "./debug-page.ts";
import { collectLessOften } from "./heap.ts";
import type { ServiceWorld } from "./service-world.ts";

/**
 * | code | meaning                                   |
 * |------|-------------------------------------------|
 * | 0    | stopped cleanly                           |
 * | 1    | could not go on                           |
 * | 2    | wrong settings                            |
 * | 3    | the start was refused                     |
 */
const exitCodes = { stopped: 0, fatal: 1, settings: 2, refused: 3 } as const;

/** What a service's program is given to start with. */
export interface ServiceStart<Of extends Settings> extends ServiceWorld {
  readonly config: Config<Of>;
  readonly values: Values<Of>;
}

/** A service that answers. */
export interface RunningService {
  /** Listener -> host:port. */
  readonly endpoints: Readonly<Record<string, string>>;
  /** Whether it does by now what it is there for, as its health service says under the overall name. */
  isReady(): boolean;
  /** What the service tells of itself at `/debug`: of bounded size. Absent: nothing. */
  describe?(): Readonly<Record<string, unknown>>;
  /** Drains, and gives everything back. */
  stop(): Promise<void>;
}

export interface ServiceProgram<Of extends Settings> {
  readonly role: "broker" | "controller" | "gateway";
  readonly schema: Schema<Of>;
  /** How many disks the process opens: none of them keeps the others waiting for a thread when it hangs. Default 1. */
  readonly disks?: (values: Values<Of>) => number;
  /** Resolves when the service answers. Throws what refuses the start, with nothing left open. */
  readonly start: (given: ServiceStart<Of>) => Promise<RunningService>;
}

/** The settings that every service has. */
type CommonValues = {
  readonly "node.id": number;
  readonly "log.level": LogLevel;
  readonly "debug.page": boolean;
  readonly "metrics.listener": { readonly host: string; readonly port: number } | undefined;
};

/**
 * A service's process from its settings to its end: SIGTERM, SIGINT and the loss of a supervisor stop it cleanly. When
 * it is ready it says so in one line of JSON on standard output; a refused start ends with one line on standard error.
 */
export async function runService<Of extends Settings>(program: ServiceProgram<Of>): Promise<void> {
  const inputs = processInputs();
  if (inputs.flags.some((flag) => flag === "--help" || flag === "-h")) {
    process.stdout.write(`${helpText(program.schema)}\n`);
    return;
  }
  const loaded = loadConfig(program.schema, inputs);
  if (!loaded.ok) end(exitCodes.settings, formatProblems(loaded.problems));
  const { config } = loaded;
  collectLessOften();
  const { threads, needed } = reserveThreads(program.disks?.(config.values) ?? 1);
  const values = config.values as unknown as CommonValues;
  const id = values["node.id"];
  const runtime = createNodeRuntime();
  const service: ServiceName = `tidemark-${program.role}`;
  let running: RunningService | undefined;
  const telemetry = await startTelemetry({
    service,
    instanceId: `${program.role}-${id}`,
    runtime,
    scope: "process",
    environment: otelEnvironment(),
    logLevel: values["log.level"],
    metricsListener: values["metrics.listener"],
    isReady: () => running?.isReady() ?? false,
    describe: values["debug.page"]
      ? (process) => debugPage({ role: program.role, id, ...process, ...stateOf(running) }, config)
      : undefined,
  }).catch((error: unknown) => end(exitCodes.refused, `The ${program.role} does not start: ${messageOf(error)}`));
  for (const warning of config.warnings) telemetry.logger.warn(formatProblem(warning));
  if (threads < needed) {
    telemetry.logger.warn("UV_THREADPOOL_SIZE is too small for the disks of this process", { threads, needed });
  }

  const leave = (code: number, line: string | undefined, before: Promise<unknown> = Promise.resolve()) => {
    before
      .catch((error: unknown) => telemetry.logger.error("The stop was not clean", { error: asError(error) }))
      .then(() => telemetry.shutdown())
      .then(
        () => end(code, line),
        () => end(code, line),
      );
  };
  /** Whoever supervises this process is gone, and may be so before the start is over. */
  let onOrphaned = (): void => end(exitCodes.refused, `The ${program.role} does not start: its supervisor is gone`);
  process.on("disconnect", () => {
    onOrphaned();
  });
  /** Before it answers there is nothing to drain. As the first process of a container it has to end itself: no signal does. */
  let onAskedToStop = (): void => end(exitCodes.stopped, undefined);
  for (const event of ["SIGTERM", "SIGINT"] as const) {
    process.on(event, () => {
      onAskedToStop();
    });
  }
  const isSupervised = process.send !== undefined;
  if (isSupervised && !process.connected) onOrphaned();
  const onFatal = (error: Error) => leave(exitCodes.fatal, `The ${program.role} cannot go on: ${error.message}`);
  try {
    const world = processWorld({ runtime, telemetry, onFatal });
    const started = await program.start({ config, values: config.values, ...world });
    running = started;
    let isStopping = false;
    const stop = () => {
      if (isStopping) return;
      isStopping = true;
      leave(exitCodes.stopped, undefined, started.stop());
    };
    onAskedToStop = stop;
    onOrphaned = stop;
    const metrics = telemetry.metricsEndpoint;
    const endpoints = {
      ...started.endpoints,
      ...(metrics === undefined ? {} : { metrics: formatEndpoint(metrics) }),
    };
    process.stdout.write(`${JSON.stringify({ ready: true, role: program.role, id, endpoints })}\n`);
  } catch (error) {
    leave(exitCodes.refused, `The ${program.role} does not start: ${messageOf(error)}`);
  }
}

/** The world of a real process: its disks, and gRPC over TCP. */
export function processWorld(given: Pick<ServiceWorld, "runtime" | "telemetry" | "onFatal">): Required<ServiceWorld> {
  return {
    ...given,
    openDisk: (options) => createNodeDisk({ runtime: given.runtime, ...options }),
    transport: grpcTransport,
  };
}

/** What a server tells its process, as log lines. */
export function serverHooks({ logger }: Pick<Telemetry, "logger">): RpcServerHooks {
  return {
    onDefect: (thrown, method, traceparent) => {
      const trace = extractTraceContext({ traceparent });
      logger.error("defect in a call", { method, error: asError(thrown), ...(trace && { trace }) });
    },
    onExposed: (listener, host) =>
      logger.warn("a listener is reachable from other machines without TLS", { listener, host }),
    onRefused: (refusal, address, listener) =>
      logger.warn("connection refused by a limit", { refusal, address, listener }),
  };
}

function end(code: number, line: string | undefined): never {
  if (line !== undefined) process.stderr.write(`${line}\n`);
  process.exit(code);
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

function messageOf(error: unknown): string {
  return asError(error).message;
}
