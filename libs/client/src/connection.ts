import type { MessageInitShape } from "@bufbuild/protobuf";
import type { LogService, ProduceStreamRequestSchema, ProduceStreamResponse } from "@tidemark/proto/log/v1";
import type { Codecs } from "@tidemark/record";
import type { RawListener, RawStream, RpcClient } from "@tidemark/rpc";
import type { Runtime } from "@tidemark/runtime";
import type { Routes } from "./routes.ts";
import type { TopicCache } from "./topic-cache.ts";

export type LogClient = RpcClient<typeof LogService>;

type ProduceInit = MessageInitShape<typeof ProduceStreamRequestSchema>;

/** One batch on a produce stream. */
export interface ProduceMessage {
  readonly sequence: bigint;
  readonly topic: string;
  readonly partition: number;
  readonly acks: NonNullable<ProduceInit["acks"]>;
  readonly batches: Uint8Array;
  readonly timeoutMs: number;
  /** W3C trace context of the batch's span. Absent: it has none. */
  readonly traceparent?: string;
}

/** Opens a produce stream to an endpoint. The listener is made before anything can come. */
export type OpenProduceStream = (
  endpoint: string,
  createListener: () => RawListener<Pick<ProduceStreamResponse, "results">>,
) => Pick<RawStream<ProduceMessage>, "write" | "end">;

/** What producers and consumers of one client share. */
export interface Connection {
  readonly runtime: Runtime;
  readonly codecs: Codecs;
  readonly topics: TopicCache;
  readonly routes: Routes;
  /** Throws a TidemarkError, not applied, once the client is closed. */
  readonly checkOpen: () => void;
  /** The produce stream. Producing and fetching have a TCP connection each. */
  readonly openProduceStream: OpenProduceStream;
  /** The data service at an endpoint, for producer ids, and for producing where there are no streams. */
  produceAt(endpoint: string): Pick<LogClient, "produce" | "initProducer">;
  /** The data service at an endpoint, for fetching. */
  fetchAt(endpoint: string): Pick<LogClient, "fetch" | "listOffsets">;
}
