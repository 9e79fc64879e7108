import { loadCodecs } from "@tidemark/compression";
import { AdminService } from "@tidemark/proto/admin/v1";
import { MetadataService } from "@tidemark/proto/admin/v1/metadata";
import { LogService } from "@tidemark/proto/log/v1";
import { type ClientTls, createChannelPool, createRpcClient, type RpcClient } from "@tidemark/rpc";
import { createNodeRuntime, type Runtime } from "@tidemark/runtime";
import type { Connection } from "./connection.ts";
import { type Consumer, type ConsumerOptions, createConsumer } from "./consumer/consumer.ts";
import { createProducer, type Producer, type ProducerOptions } from "./producer/producer.ts";
import { createTopicCache } from "./topic-cache.ts";

export interface ClientOptions {
  /** host:port of a gateway, or of a broker that leads what is asked of it. */
  readonly bootstrap: string;
  /** Absent: cleartext. */
  readonly tls?: ClientTls;
  /** Absent: the process's own clock, timers and randomness. */
  readonly runtime?: Runtime;
}

/** A connection to a cluster, from which producers and consumers are made. */
export interface Client {
  /** Administers topics and brokers. Every call fails with a TidemarkError and nothing else. */
  readonly admin: RpcClient<typeof AdminService>;
  /** Reads the metadata tree. */
  readonly metadata: RpcClient<typeof MetadataService>;
  /** The data service itself, for what producer and consumer do not offer. */
  readonly log: RpcClient<typeof LogService>;
  createProducer(options?: ProducerOptions): Producer;
  createConsumer(options: ConsumerOptions): Consumer;
  /** Closes the connections. Producers and consumers are to be closed before. */
  close(): void;
}

/** Resolves without having connected: the first call does that. */
export async function createClient(options: ClientOptions): Promise<Client> {
  const runtime = options.runtime ?? createNodeRuntime();
  const pool = createChannelPool({ runtime, ...(options.tls === undefined ? {} : { tls: options.tls }) });
  const { codecs } = await loadCodecs();
  const admin = createRpcClient(AdminService, pool.get(options.bootstrap, "admin"));
  const connection: Connection = {
    runtime,
    codecs,
    produce: createRpcClient(LogService, pool.get(options.bootstrap, "produce")),
    fetch: createRpcClient(LogService, pool.get(options.bootstrap, "fetch")),
    topics: createTopicCache(async (topic) => {
      const { topics } = await admin.describeTopics({ topics: [topic] });
      return topics[0]?.partitions.length ?? 0;
    }, runtime.clock),
  };
  return {
    admin,
    metadata: createRpcClient(MetadataService, pool.get(options.bootstrap, "admin")),
    log: connection.fetch,
    createProducer: (producerOptions = {}) => createProducer(connection, producerOptions),
    createConsumer: (consumerOptions) => createConsumer(connection, consumerOptions),
    close: () => pool.close(),
  };
}
