import { status } from "@grpc/grpc-js";
import {
  type ChannelOptions,
  type ChannelState,
  createByteBudget,
  createProcessBudget,
  DEFAULT_DEADLINE,
  DEFAULT_KEEPALIVE,
  MESSAGE_LIMIT_BYTES,
  QUEUE_LIMIT_BYTES,
  RECONNECT_BACKOFF_MS,
  type RpcChannel,
  waitForChannel,
} from "@tidemark/rpc";
import { createBag, type Random } from "@tidemark/runtime";
import { createClientWire, type SimClientWire } from "./client-wire.ts";
import type { SidePlace } from "./connection.ts";
import { type Dialled, dial } from "./dial.ts";
import type { NetworkContext } from "./host.ts";
import { createSession, type Session } from "./session.ts";

/** How long one try to connect may take, in milliseconds. */
const connectTimeoutMs = 20_000;

/** By how much the pause between two tries grows, and the share of it that is drawn, as gRPC's backoff has it. */
const backoff = { factor: 1.6, jitter: 0.2 } as const;

/** A channel over the simulated network, which behaves as grpc-js's: it connects when it is needed, and again. */
export function createSimChannel(
  net: NetworkContext,
  place: SidePlace,
  endpoint: string,
  options: ChannelOptions & { readonly random: Random },
): RpcChannel {
  const { runtime, trafficClass } = options;
  const { process } = place;
  const budget = createByteBudget({
    name: "connection",
    limit: QUEUE_LIMIT_BYTES.connection,
    parent: options.processBudget ?? createProcessBudget(),
  });
  const calls = { process, watch: net.watch, queue: net.watch.onConnection(process, endpoint, budget) };
  const waiting = new Set<SimClientWire>();
  const running = createBag<SimClientWire>();
  const watchers = new Set<(state: ChannelState) => void>();
  const colon = endpoint.lastIndexOf(":");
  const target = { host: endpoint.slice(0, colon), port: Number(endpoint.slice(colon + 1)) };
  let state: ChannelState = "idle";
  let session: Session | undefined;
  let stopDialling = () => {};
  let failures = 0;
  let lastError = "";

  const become = (next: ChannelState) => {
    if (state === next || state === "closed") return;
    state = next;
    for (const watch of [...watchers]) watch(next);
  };
  const dialNow = () => {
    become("connecting");
    stopDialling = dial(net, place, { ...target, timeoutMs: connectTimeoutMs }, onDialled);
  };
  const fail = (why: string) => {
    lastError = `No connection established. Last error: ${why}`;
    const pauseMs = Math.min(RECONNECT_BACKOFF_MS.max, RECONNECT_BACKOFF_MS.initial * backoff.factor ** failures);
    failures += 1;
    become("failing");
    for (const wire of [...waiting]) if (!wire.waitsForReady) wire.fail(status.UNAVAILABLE, lastError);
    const drawnMs = pauseMs * (1 + backoff.jitter * (2 * options.random.next() - 1));
    stopDialling = process.arrive("timer", drawnMs, dialNow);
  };
  const onDialled = (end: Dialled) => {
    if (state === "closed") return;
    if (end.kind !== "reached") {
      fail(end.kind === "refused" ? `connect ECONNREFUSED ${endpoint}` : `connect ETIMEDOUT ${endpoint}`);
      return;
    }
    const made = createSession(end.connection, options.keepalive ?? DEFAULT_KEEPALIVE, {
      onSettings() {
        session = made;
        failures = 0;
        become("ready");
        for (const wire of [...waiting]) if (session === made) begin(wire, made);
      },
      onGoAway: () => leave(made),
      onBroken(cause) {
        if (session === made) leave(made);
        else if (state === "connecting") fail(`the connection was ${cause}`);
      },
      onIdle() {
        if (session !== made) made.close();
      },
    });
    stopDialling = () => made.close();
  };
  /** The next call connects anew; calls that run on the old session may end there. */
  const leave = (left: Session) => {
    if (session !== left) return;
    session = undefined;
    become("idle");
    if (waiting.size > 0) dialNow();
  };
  const begin = (wire: SimClientWire, on: Session) => {
    waiting.delete(wire);
    wire.leave = running.add(wire);
    wire.open(on);
  };
  const onCalls = {
    start(wire: SimClientWire) {
      if (session !== undefined) begin(wire, session);
      else if (state === "closed" || (state === "failing" && !wire.waitsForReady)) {
        const why = state === "closed" ? `The channel to ${endpoint} is closed.` : lastError;
        process.arrive("input", 0, () => wire.fail(status.UNAVAILABLE, why));
      } else {
        waiting.add(wire);
        if (state === "idle") dialNow();
      }
    },
    over(wire: SimClientWire) {
      waiting.delete(wire);
      wire.leave();
    },
  };
  const watchState: RpcChannel["watchState"] = (onChange) => {
    watchers.add(onChange);
    return () => watchers.delete(onChange);
  };

  return {
    endpoint,
    trafficClass,
    runtime,
    observer: options.observer,
    budget,
    messageLimitBytes: options.messageLimitBytes ?? MESSAGE_LIMIT_BYTES.broker,
    defaultTimeoutMs: options.defaultTimeoutMs ?? DEFAULT_DEADLINE.defaultMs,
    state: () => state,
    watchState,
    waitForReady: (timeoutMs, signal) =>
      waitForChannel(
        {
          endpoint,
          scheduler: runtime.scheduler,
          watchState,
          connect() {
            if (state === "idle") dialNow();
            return state;
          },
        },
        timeoutMs,
        signal,
      ),
    startCall: (call) => createClientWire(calls, call, onCalls),
    close() {
      if (state === "closed") return;
      stopDialling();
      become("closed");
      session?.close();
      session = undefined;
      for (const wire of [...waiting, ...running.items()]) wire.cancel(`The channel to ${endpoint} was closed.`);
      calls.queue.end();
    },
  };
}
