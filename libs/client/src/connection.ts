import type { LogService } from "@tidemark/proto/log/v1";
import type { Codecs } from "@tidemark/record";
import type { RpcClient } from "@tidemark/rpc";
import type { Runtime } from "@tidemark/runtime";
import type { Routes } from "./routes.ts";
import type { TopicCache } from "./topic-cache.ts";

export type LogClient = RpcClient<typeof LogService>;

/** What producers and consumers of one client share. */
export interface Connection {
  readonly runtime: Runtime;
  readonly codecs: Codecs;
  readonly topics: TopicCache;
  readonly routes: Routes;
  /** The data service at an endpoint, for producing. Producing and fetching have a TCP connection each. */
  produceAt(endpoint: string): Pick<LogClient, "produce">;
  /** The data service at an endpoint, for fetching. */
  fetchAt(endpoint: string): Pick<LogClient, "fetch" | "listOffsets">;
}
