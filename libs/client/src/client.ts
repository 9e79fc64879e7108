import { loadCodecs } from "@tidemark/compression";
import { AdminService } from "@tidemark/proto/admin/v1";
import { MetadataService } from "@tidemark/proto/admin/v1/metadata";
import { Reason } from "@tidemark/proto/common/v1";
import { Health, HealthCheckResponse_ServingStatus } from "@tidemark/proto/grpc/health/v1";
import { LogService } from "@tidemark/proto/log/v1";
import type { Codecs } from "@tidemark/record";
import {
  type ClientTls,
  createChannelPool,
  createRpcClient,
  type RpcClient,
  TidemarkError,
  type Transport,
  unknownTopic,
} from "@tidemark/rpc";
import { createNodeRuntime, type Runtime } from "@tidemark/runtime";
import type { Connection, LogClient } from "./connection.ts";
import { type Consumer, type ConsumerOptions, createConsumer } from "./consumer/consumer.ts";
import { createProducer, type Producer, type ProducerOptions } from "./producer/producer.ts";
import { createRoutes } from "./routes.ts";
import { createTopicCache, type TopicFacts } from "./topic-cache.ts";

export interface ClientOptions {
  /** host:port of a gateway, or of a broker, whose hints lead to the others. */
  readonly bootstrap: string;
  /** Absent: cleartext. */
  readonly tls?: ClientTls;
  /** Absent: the process's own clock, timers and randomness. */
  readonly runtime?: Runtime;
  /** Absent: gRPC over HTTP/2. */
  readonly transport?: Transport;
  /** Absent: what can be loaded here. */
  readonly codecs?: Codecs;
}

/** A connection to a cluster, from which producers and consumers are made. */
export interface Client {
  /** Administers topics and brokers. Every call fails with a TidemarkError and nothing else. */
  readonly admin: RpcClient<typeof AdminService>;
  /** Reads the metadata tree. */
  readonly metadata: RpcClient<typeof MetadataService>;
  /** The data service itself, for what producer and consumer do not offer. */
  readonly log: LogClient;
  createProducer(options?: ProducerOptions): Producer;
  createConsumer(options: ConsumerOptions): Consumer;
  /**
   * Asks the process at host:port whether it serves. Fails with a TidemarkError where it does not answer in time, and
   * with REASON_UNAVAILABLE where it answers that it does not serve.
   */
  checkHealth(
    endpoint: string,
    options?: { readonly timeoutMs?: number; readonly signal?: AbortSignal },
  ): Promise<void>;
  /** Closes the connections. Producers and consumers are to be closed before. */
  close(): void;
}

/** Resolves without having connected: the first call does that. */
export async function createClient(options: ClientOptions): Promise<Client> {
  const { bootstrap, tls, transport, runtime = createNodeRuntime() } = options;
  const pool = createChannelPool({
    runtime,
    ...(transport === undefined ? {} : { transport }),
    ...(tls === undefined ? {} : { tls }),
  });
  const codecs = options.codecs ?? (await loadCodecs()).codecs;
  const admin = createRpcClient(AdminService, pool.get(bootstrap, "admin"));
  const logAt = (trafficClass: "produce" | "fetch") => {
    const clients = new Map<string, LogClient>();
    return (endpoint: string): LogClient => {
      const known = clients.get(endpoint);
      if (known !== undefined) return known;
      const made = createRpcClient(LogService, pool.get(endpoint, trafficClass));
      clients.set(endpoint, made);
      return made;
    };
  };
  const connection: Connection = {
    runtime,
    codecs,
    routes: createRoutes(bootstrap),
    produceAt: logAt("produce"),
    fetchAt: logAt("fetch"),
    topics: createTopicCache(
      (topic) => describeTopic({ admin, log: connection.fetchAt(bootstrap) }, topic),
      runtime.clock,
    ),
  };
  return {
    admin,
    metadata: createRpcClient(MetadataService, pool.get(bootstrap, "admin")),
    log: connection.fetchAt(bootstrap) as LogClient,
    createProducer: (producerOptions = {}) => createProducer(connection, producerOptions),
    createConsumer: (consumerOptions) => createConsumer(connection, consumerOptions),
    async checkHealth(endpoint, callOptions = {}) {
      const { status } = await createRpcClient(Health, pool.get(endpoint, "admin")).check({}, callOptions);
      if (status === HealthCheckResponse_ServingStatus.SERVING) return;
      throw new TidemarkError({ reason: Reason.UNAVAILABLE, message: `The process at ${endpoint} does not serve` });
    },
    close: () => pool.close(),
  };
}

/** How long the controller may take to describe a topic before the data service is asked instead, in milliseconds. */
const describeTimeoutMs = 3000;

/**
 * Asks the controller. Producing and consuming go on without one, so where none answers the data service, which knows
 * the partitions too, is asked for them; it does not tell the topic id.
 */
async function describeTopic(
  ask: { readonly admin: RpcClient<typeof AdminService>; readonly log: Pick<LogClient, "listOffsets"> },
  topic: string,
): Promise<TopicFacts> {
  try {
    return await describeByController(ask.admin, topic);
  } catch (error) {
    if (!(error instanceof TidemarkError) || !isWithoutController(error)) throw error;
    const { offsets } = await ask.log.listOffsets({ topic });
    return { topicId: "", partitions: offsets.length };
  }
}

function isWithoutController({ reason }: TidemarkError): boolean {
  return (
    reason === Reason.UNAVAILABLE ||
    reason === Reason.DEADLINE_EXCEEDED ||
    reason === Reason.NOT_CONTROLLER ||
    reason === Reason.UNSUPPORTED
  );
}

async function describeByController(admin: RpcClient<typeof AdminService>, topic: string): Promise<TopicFacts> {
  const { topics } = await admin.describeTopics({ topics: [topic] }, { timeoutMs: describeTimeoutMs });
  const [described] = topics;
  if (described === undefined || described.partitions.length === 0) {
    throw unknownTopic(topic);
  }
  return { topicId: described.topicId, partitions: described.partitions.length };
}
