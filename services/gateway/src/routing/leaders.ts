import { LogService } from "@tidemark/proto/log/v1";
import { type ChannelPool, createRpcClient, type RpcChannel, type RpcClient } from "@tidemark/rpc";

/** Producing and fetching have a connection each to every broker, so that neither holds up the other. */
export type DataClass = "produce" | "fetch";

/** The data service of a broker. */
export type LogClient = RpcClient<typeof LogService>;

/** Clients of the brokers. */
export interface Leaders {
  client(endpoint: string, of: DataClass): LogClient;
  channel(endpoint: string, of: DataClass): RpcChannel;
}

export function createLeaders(pool: Pick<ChannelPool, "get">): Leaders {
  const clients = new WeakMap<RpcChannel, LogClient>();
  const channel = (endpoint: string, of: DataClass) => pool.get(endpoint, of);
  return {
    channel,
    client(endpoint, of) {
      const at = channel(endpoint, of);
      let client = clients.get(at);
      if (client === undefined) {
        client = createRpcClient(LogService, at);
        clients.set(at, client);
      }
      return client;
    },
  };
}
