import { loadCodecs } from "@tidemark/compression";
import { AdminService } from "@tidemark/proto/admin/v1";
import { MetadataService } from "@tidemark/proto/admin/v1/metadata";
import { Reason } from "@tidemark/proto/common/v1";
import { Health, HealthCheckResponse_ServingStatus } from "@tidemark/proto/grpc/health/v1";
import { LogService } from "@tidemark/proto/log/v1";
import type { Codecs } from "@tidemark/record";
import {
  type ClientTls,
  createRpcClient,
  openRawStream,
  type RpcClient,
  TidemarkError,
  type Transport,
} from "@tidemark/rpc";
import { createNodeRuntime, type Runtime } from "@tidemark/runtime";
import { createChannels } from "./channels.ts";
import type { Connection, LogClient } from "./connection.ts";
import { type Consumer, type ConsumerOptions, createConsumer } from "./consumer/consumer.ts";
import { describeTopic } from "./describe-topic.ts";
import { checkEndpoint } from "./options.ts";
import { createProducer, type Producer, type ProducerOptions } from "./producer/producer.ts";
import { createReach } from "./reach.ts";
import { createRoutes } from "./routes.ts";
import { createTopicCache } from "./topic-cache.ts";

export interface ClientOptions {
  /** host:port of a gateway, or of a broker, whose hints lead to the others. */
  readonly bootstrap: string;
  /**
   * Where records go. `direct`, as when absent: to the leaders themselves where the endpoints that brokers advertise can
   * be reached from here, by the bootstrap endpoint otherwise. `bootstrap`: by that alone, hints of brokers aside.
   */
  readonly routing?: "direct" | "bootstrap";
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
  /**
   * Closes the connections. Producers and consumers are to be closed before: what is asked of them or of the client
   * afterwards fails with REASON_CANCELLED, not applied.
   */
  close(): void;
}

/** Resolves without having connected: the first call does that. REASON_INVALID_ARGUMENT where `bootstrap` is no endpoint. */
export async function createClient(options: ClientOptions): Promise<Client> {
  checkEndpoint("bootstrap", options.bootstrap);
  const { bootstrap, tls, transport, runtime = createNodeRuntime() } = options;
  const channels = createChannels({
    runtime,
    ...(transport === undefined ? {} : { transport }),
    ...(tls === undefined ? {} : { tls }),
  });
  const codecs = options.codecs ?? (await loadCodecs()).codecs;
  const admin = createRpcClient(AdminService, channels.get(bootstrap, "admin"));
  const logAt = (trafficClass: "produce" | "fetch") => {
    const clients = new Map<string, LogClient>();
    return (endpoint: string): LogClient => {
      const known = clients.get(endpoint);
      if (known !== undefined) return known;
      const made = createRpcClient(LogService, channels.get(endpoint, trafficClass));
      clients.set(endpoint, made);
      return made;
    };
  };
  const routes = createRoutes(
    bootstrap,
    createReach((endpoint) => channels.get(endpoint, "produce"), runtime.clock),
  );
  const connection: Connection = {
    runtime,
    codecs,
    routes,
    checkOpen: channels.checkOpen,
    openProduceStream: (endpoint, createListener) =>
      openRawStream(channels.get(endpoint, "produce"), LogService.method.produceStream, createListener),
    produceAt: logAt("produce"),
    fetchAt: logAt("fetch"),
    topics: createTopicCache(async (topic) => {
      const { facts, leaders } = await describeTopic({ admin, log: connection.fetchAt(bootstrap) }, topic);
      if (options.routing !== "bootstrap") routes.learn({ topic, topicId: facts.topicId }, leaders);
      return facts;
    }, runtime.clock),
  };
  return {
    admin,
    metadata: createRpcClient(MetadataService, channels.get(bootstrap, "admin")),
    log: connection.fetchAt(bootstrap) as LogClient,
    createProducer(producerOptions = {}) {
      channels.checkOpen();
      return createProducer(connection, producerOptions);
    },
    createConsumer(consumerOptions) {
      channels.checkOpen();
      return createConsumer(connection, consumerOptions);
    },
    async checkHealth(endpoint, callOptions = {}) {
      const { status } = await createRpcClient(Health, channels.get(endpoint, "admin")).check({}, callOptions);
      if (status === HealthCheckResponse_ServingStatus.SERVING) return;
      throw new TidemarkError({ reason: Reason.UNAVAILABLE, message: `The process at ${endpoint} does not serve` });
    },
    close: () => channels.close(),
  };
}
