import type { LogService } from "@tidemark/proto/log/v1";
import type { Codecs } from "@tidemark/record";
import type { RpcClient } from "@tidemark/rpc";
import type { Runtime } from "@tidemark/runtime";
import type { TopicCache } from "./topic-cache.ts";

/** What producers and consumers of one client share. Producing and fetching have a TCP connection each. */
export interface Connection {
  readonly runtime: Runtime;
  readonly codecs: Codecs;
  readonly produce: Pick<RpcClient<typeof LogService>, "produce">;
  readonly fetch: RpcClient<typeof LogService>;
  readonly topics: TopicCache;
}
