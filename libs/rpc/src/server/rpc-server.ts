import { Reason } from "@tidemark/proto/common/v1";
import { Health } from "@tidemark/proto/grpc/health/v1";
import { createDeferred, type Runtime } from "@tidemark/runtime";
import { TidemarkError } from "../errors/tidemark-error.ts";
import type { DefectHook } from "../errors/to-error.ts";
import { readImage } from "../reflection/image.ts";
import { createReflection } from "../reflection/reflection.ts";
import { grpcTransport } from "../transport/grpc-transport.ts";
import type { Transport } from "../transport/transport.ts";
import { createProcessBudget, ELEMENTS_PER_MESSAGE, MESSAGE_LIMIT_BYTES, QUEUE_LIMIT_BYTES } from "../wire/budgets.ts";
import type { ByteBudget } from "../wire/byte-budget.ts";
import type { CallObserver } from "../wire/call-observer.ts";
import { createCallDispatcher } from "./call-dispatcher.ts";
import type { ConnectionRefusal } from "./connection-gate.ts";
import { createHealth, type HealthState } from "./health.ts";
import { isLoopback } from "./listen.ts";
import type { BoundAddress, ListenerOptions } from "./listener-options.ts";
import { type ServedService, serve } from "./served-service.ts";

export interface RpcServerOptions {
  /** By name: `client`, `internal`. */
  readonly listeners: Readonly<Record<string, ListenerOptions>>;
  /** Over gRPC real time: its libraries on both sides of the wire run on it. */
  readonly runtime: Runtime;
  /** Absent: gRPC over HTTP/2. */
  readonly transport?: Transport;
  /** Bytes that the whole process may have queued; shared with its channels. Absent: a quarter of the heap. */
  readonly processBudget?: ByteBudget;
  readonly observer?: CallObserver;
  readonly hooks?: RpcServerHooks;
}

/** What an operator should know. Each is called at once, and must not throw. */
export interface RpcServerHooks {
  /** A handler threw what is not a TidemarkError. */
  readonly onDefect?: DefectHook;
  /** A listener is reachable from other machines without TLS. Told at each start. */
  readonly onExposed?: (listener: string, host: string) => void;
  /** A connection was closed because of a limit. */
  readonly onRefused?: (refusal: ConnectionRefusal, address: string, listener: string) => void;
}

export interface RpcServer {
  /**
   * Binds every listener, or none: the error of the first that fails is thrown (REASON_INVALID_CONFIG, with listener,
   * host, port and the way out). Resolves with where each is bound.
   */
  start(): Promise<Readonly<Record<string, BoundAddress>>>;
  /** What the health service tells of `service` (its full name), or of the process as a whole under "". */
  setServing(service: string, serving: boolean): void;
  readonly activeCalls: number;
  readonly connections: number;
  /**
   * Health says not serving; no new connections and calls; streams and long polls are told; other calls may finish.
   * After `graceMs` what is left ends with REASON_SHUTTING_DOWN and connections are closed. Resolves when all is gone.
   * A second call waits for the first.
   */
  stop(graceMs?: number): Promise<void>;
}

/** Until calls that do not end by themselves are ended, in milliseconds. */
const STOP_GRACE_MS = 5000;

/** For the statuses of calls that were ended to leave, in milliseconds. */
const FLUSH_MS = 500;

export function createRpcServer(options: RpcServerOptions): RpcServer {
  const { runtime, transport = grpcTransport, hooks = {} } = options;
  const processBudget = options.processBudget ?? createProcessBudget();
  const definitions = Object.entries(options.listeners);
  const health = createHealth(
    new Set(definitions.flatMap(([, { services }]) => services.map(({ service }) => service.typeName))),
  );
  const image = readImage();
  const served = definitions.map(([, listener]) => withStandardServices(listener.services, health, image));
  const dispatchers = definitions.map(([, listener], index) =>
    createCallDispatcher(served[index] ?? [], {
      clock: runtime.clock,
      scheduler: runtime.scheduler,
      onDefect: hooks.onDefect ?? (() => undefined),
      observer: options.observer,
      elementLimit: listener.elementLimit ?? ELEMENTS_PER_MESSAGE,
      sendLimit: listener.sendLimitBytes ?? listener.messageLimitBytes ?? MESSAGE_LIMIT_BYTES.control,
      queueLimit: (listener.queueLimitBytes ?? QUEUE_LIMIT_BYTES).stream,
    }),
  );
  const listeners = definitions.map(([name, listener], index) =>
    transport.createListener(name, listener, {
      runtime,
      processBudget,
      services: (served[index] ?? []).map(({ service }) => service),
      dispatch: (path, wire) => dispatchers[index]?.dispatch(path, wire),
      onRefused: (refusal, address) => hooks.onRefused?.(refusal, address, name),
    }),
  );
  let stopping: Promise<void> | undefined;

  const withinMs = async (limitMs: number, work: Promise<unknown>) => {
    const over = createDeferred();
    const cancel = runtime.scheduler.after(limitMs, () => over.resolve());
    await Promise.race([work, over.promise]);
    cancel();
  };

  const stopAll = async (graceMs: number) => {
    health.stopServing();
    for (const dispatcher of dispatchers) dispatcher.stop(shuttingDown());
    // A connection closes when its last answer has left: that is what to wait for, and not the end of the last call.
    const drained = Promise.all(listeners.map((listener) => listener.drain()));
    await withinMs(graceMs, drained);
    for (const dispatcher of dispatchers) dispatcher.force(shuttingDown());
    await withinMs(FLUSH_MS, drained);
    await Promise.all(listeners.map((listener) => listener.close()));
  };

  return {
    async start() {
      const bound: Record<string, BoundAddress> = {};
      try {
        for (const [index, [name, { host, tls }]] of definitions.entries()) {
          const listener = listeners[index];
          if (listener === undefined) continue;
          if (tls === undefined && host !== undefined && !isLoopback(host)) hooks.onExposed?.(name, host);
          bound[name] = await listener.bind();
        }
      } catch (error) {
        stopping ??= stopAll(0);
        await stopping;
        throw error;
      }
      return bound;
    },
    setServing: health.setServing,
    get activeCalls() {
      return dispatchers.reduce((sum, dispatcher) => sum + dispatcher.activeCalls(), 0);
    },
    get connections() {
      return listeners.reduce((sum, listener) => sum + listener.connectionCount, 0);
    },
    stop(graceMs = STOP_GRACE_MS) {
      stopping ??= stopAll(graceMs);
      return stopping;
    },
  };
}

/** Health and reflection answer on every listener; a list shows what that listener really offers. */
function withStandardServices(
  services: readonly ServedService[],
  health: HealthState,
  image: Uint8Array,
): readonly ServedService[] {
  const all = [...services, serve(Health, health.implementation)];
  return [
    ...all,
    ...createReflection(
      all.map(({ service }) => service.typeName),
      image,
    ).served,
  ];
}

function shuttingDown(): TidemarkError {
  return new TidemarkError({ reason: Reason.SHUTTING_DOWN, message: "The process is stopping. Call another one." });
}
