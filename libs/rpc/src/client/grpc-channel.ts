import { Channel, ChannelCredentials, connectivityState } from "@grpc/grpc-js";
import { createBag } from "@tidemark/runtime";
import {
  createProcessBudget,
  DEFAULT_DEADLINE,
  DEFAULT_KEEPALIVE,
  MESSAGE_LIMIT_BYTES,
  QUEUE_LIMIT_BYTES,
  RECEIVE_WINDOW_BYTES,
  RECONNECT_BACKOFF_MS,
} from "../wire/budgets.ts";
import { createByteBudget } from "../wire/byte-budget.ts";
import type { ClientWire } from "./client-wire.ts";
import { withoutAddressAsName } from "./grpc-client-internals.ts";
import { createGrpcClientWire } from "./grpc-client-wire.ts";
import type { ChannelOptions, ChannelState, ClientTls, RpcChannel } from "./rpc-channel.ts";
import { waitForChannel } from "./wait-for-channel.ts";

const states: Readonly<Record<connectivityState, ChannelState>> = {
  [connectivityState.IDLE]: "idle",
  [connectivityState.CONNECTING]: "connecting",
  [connectivityState.READY]: "ready",
  [connectivityState.TRANSIENT_FAILURE]: "failing",
  [connectivityState.SHUTDOWN]: "closed",
};

/** A channel over a connection of its own. `endpoint` is host:port. Connects at the first call or `waitForReady`. */
export function createChannel(endpoint: string, options: ChannelOptions): RpcChannel {
  const { runtime, trafficClass } = options;
  const channel = new Channel(`dns:${endpoint}`, credentialsOf(options.tls), grpcOptions(options));
  const running = createBag<ClientWire>();
  const budget = createByteBudget({
    name: "connection",
    limit: QUEUE_LIMIT_BYTES.connection,
    parent: options.processBudget ?? createProcessBudget(),
  });
  let closed = false;
  // grpc-js may leave its own closed state when a connection that was being made ends.
  const state = (connect: boolean): ChannelState => {
    return closed ? "closed" : states[channel.getConnectivityState(connect)];
  };

  const watchState: RpcChannel["watchState"] = (onChange) => {
    let cancelled = false;
    const watch = (from: connectivityState) => {
      channel.watchConnectivityState(from, Number.POSITIVE_INFINITY, (error) => {
        if (cancelled || error !== undefined) return;
        onChange(state(false));
        if (!closed) watch(channel.getConnectivityState(false));
      });
    };
    if (!closed) watch(channel.getConnectivityState(false));
    return () => {
      cancelled = true;
    };
  };

  return {
    endpoint,
    trafficClass,
    runtime,
    observer: options.observer,
    budget,
    messageLimitBytes: options.messageLimitBytes ?? MESSAGE_LIMIT_BYTES.broker,
    defaultTimeoutMs: options.defaultTimeoutMs ?? DEFAULT_DEADLINE.defaultMs,
    state: () => state(false),
    watchState,
    waitForReady: (timeoutMs, signal) =>
      waitForChannel(
        // Asking so makes an idle channel connect.
        { endpoint, scheduler: runtime.scheduler, watchState, connect: () => state(true) },
        timeoutMs,
        signal,
      ),
    startCall: (call) => createGrpcClientWire(channel, call, running),
    close: () => {
      closed = true;
      channel.close();
      for (const wire of running.items()) wire.cancel(`The channel to ${endpoint} was closed.`);
    },
  };
}

function grpcOptions(options: ChannelOptions) {
  const keepalive = options.keepalive ?? DEFAULT_KEEPALIVE;
  return {
    // Without it every channel of one target shares one connection, whatever its class.
    "grpc.use_local_subchannel_pool": 1,
    "grpc-node.flow_control_window": options.receiveWindowBytes ?? RECEIVE_WINDOW_BYTES.connection,
    "grpc.max_receive_message_length": options.messageLimitBytes ?? MESSAGE_LIMIT_BYTES.broker,
    "grpc.max_send_message_length": -1,
    "grpc.keepalive_time_ms": keepalive.timeMs,
    "grpc.keepalive_timeout_ms": keepalive.timeoutMs,
    "grpc.keepalive_permit_without_calls": 1,
    "grpc.initial_reconnect_backoff_ms": RECONNECT_BACKOFF_MS.initial,
    "grpc.max_reconnect_backoff_ms": RECONNECT_BACKOFF_MS.max,
    // A name that now stands for another address is asked for again as soon as a connection may be tried again.
    "grpc.dns_min_time_between_resolutions_ms": RECONNECT_BACKOFF_MS.max,
    "grpc.service_config_disable_resolution": 1,
    "grpc.enable_http_proxy": 0,
    "grpc.enable_channelz": 0,
    ...(options.tls?.serverName !== undefined && {
      "grpc.ssl_target_name_override": options.tls.serverName,
      "grpc.default_authority": options.tls.serverName,
    }),
  };
}

function credentialsOf(tls: ClientTls | undefined): ChannelCredentials {
  if (tls === undefined) return ChannelCredentials.createInsecure();
  const pem = (text: string | Uint8Array | undefined) => (text === undefined ? null : Buffer.from(text));
  return withoutAddressAsName(ChannelCredentials.createSsl(pem(tls.authorities), pem(tls.key), pem(tls.certificate)));
}
