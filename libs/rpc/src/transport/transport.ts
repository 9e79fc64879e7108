import type { ChannelOptions, RpcChannel } from "../client/rpc-channel.ts";
import type { ListenerOptions } from "../server/listener-options.ts";
import type { ListenerContext, RpcListener } from "../server/rpc-listener.ts";

/**
 * What carries calls between processes: gRPC over HTTP/2, or a twin in memory. It comes in by the constructor, so that
 * a simulated network serves and calls the very same handlers.
 */
export interface Transport {
  /** A channel over a connection of its own. `endpoint` is host:port. Connects at the first call or `waitForReady`. */
  createChannel(endpoint: string, options: ChannelOptions): RpcChannel;
  /** One place to be called at; nothing is bound before `bind`. `name` is that of the listener. */
  createListener(name: string, options: ListenerOptions, context: ListenerContext): RpcListener;
  readonly probe: Probe;
}

/**
 * What trying to connect to an endpoint showed.
 *
 * | result      | meaning                                                                                    |
 * |-------------|--------------------------------------------------------------------------------------------|
 * | reached     | something accepted the connection                                                          |
 * | refused     | the machine answers and nothing listens there: the process is gone                         |
 * | unreachable | anything else, silence above all: it proves nothing                                        |
 */
export type ProbeResult = "reached" | "refused" | "unreachable";

/** Tries to connect once, for at most `timeoutMs`, and closes the connection at once. Never rejects. */
export type Probe = (
  address: { readonly host: string; readonly port: number },
  timeoutMs: number,
) => Promise<ProbeResult>;
