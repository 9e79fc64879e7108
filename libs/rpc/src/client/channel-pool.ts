import { grpcTransport } from "../transport/grpc-transport.ts";
import type { Transport } from "../transport/transport.ts";
import { createProcessBudget } from "../wire/budgets.ts";
import type { ChannelOptions, RpcChannel, TrafficClass } from "./rpc-channel.ts";

/** Channels by endpoint and traffic class, each made when it is first asked for. */
export interface ChannelPool {
  /** `endpoint` is host:port. */
  get(endpoint: string, trafficClass: TrafficClass): RpcChannel;
  /** Closes the channels to an endpoint, and makes new ones when they are asked for again. */
  drop(endpoint: string): void;
  /**
   * The same for channels that have no connection: the next call connects at once, whatever pause they are in. What runs
   * over a connection goes on.
   */
  renew(endpoint: string): void;
  /**
   * The same for channels that pause after attempts to connect that failed: calls on them fail at once, so nobody waits
   * there. One that is just connecting goes on.
   */
  endPause(endpoint: string): void;
  readonly close: () => void;
}

export interface ChannelPoolOptions extends Omit<ChannelOptions, "trafficClass"> {
  /** Absent: gRPC over HTTP/2. */
  readonly transport?: Transport;
}

export function createChannelPool({ transport = grpcTransport, ...options }: ChannelPoolOptions): ChannelPool {
  const shared = { ...options, processBudget: options.processBudget ?? createProcessBudget() };
  const channels = new Map<string, RpcChannel>();
  const closeWhere = (isMeant: (channel: RpcChannel) => boolean) => {
    for (const [key, channel] of channels) {
      if (!isMeant(channel)) continue;
      channels.delete(key);
      channel.close();
    }
  };
  return {
    get(endpoint, trafficClass) {
      const key = `${trafficClass} ${endpoint}`;
      const known = channels.get(key);
      if (known !== undefined) return known;
      const made = transport.createChannel(endpoint, { ...shared, trafficClass });
      channels.set(key, made);
      return made;
    },
    drop(endpoint) {
      closeWhere((channel) => channel.endpoint === endpoint);
    },
    renew(endpoint) {
      closeWhere((channel) => channel.endpoint === endpoint && channel.state() !== "ready");
    },
    endPause(endpoint) {
      closeWhere((channel) => channel.endpoint === endpoint && channel.state() === "failing");
    },
    close() {
      for (const channel of channels.values()) channel.close();
      channels.clear();
    },
  };
}
