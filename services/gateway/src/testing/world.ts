/** A gateway between real sockets: a controller and brokers that do what a test says, and clients of every kind. */
import { loadCodecs } from "@tidemark/compression";
import { createActiveController } from "@tidemark/controller-link";
import { findTopic } from "@tidemark/metadata";
import { AdminService } from "@tidemark/proto/admin/v1";
import { MetadataService } from "@tidemark/proto/admin/v1/metadata";
import { LogService } from "@tidemark/proto/log/v1";
import {
  createChannelPool,
  createRpcClient,
  createRpcServer,
  type ListenerOptions,
  type RpcChannel,
  type RpcClient,
  type RpcServer,
} from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { createDisabledTracer, createLogger, type Tracer } from "@tidemark/telemetry";
import { waitFor } from "@tidemark/testkit";
import { createWebHandler } from "../edge/web-handler.ts";
import { createGateway } from "../gateway.ts";
import { type FakeBroker, startFakeBroker } from "./fake-broker.ts";
import { type FakeController, type Leads, startFakeController } from "./fake-controller.ts";

export const runtime = createNodeRuntime();

export interface WorldOptions {
  /** Brokers 1 to this. Absent: 2. */
  readonly brokers?: number;
  /** Partitions of the topic `orders`. Absent: two, led by brokers 1 and 2 in leader epoch 1. */
  readonly leads?: readonly Leads[];
  readonly settings?: Record<string, string>;
  readonly tracer?: Tracer;
  readonly listener?: Partial<ListenerOptions>;
  readonly corsOrigins?: readonly string[];
  /** Deadline of calls that come without one, in milliseconds. Absent: 5,000. */
  readonly defaultMs?: number;
  /** Endpoints by which the gateway finds the controller; absent: that of the controller. */
  readonly controllerEndpoints?: readonly string[];
}

export interface World {
  readonly controller: FakeController;
  readonly brokers: readonly FakeBroker[];
  broker(id: number): FakeBroker;
  readonly server: RpcServer;
  /** Port of the gateway. */
  readonly port: number;
  readonly channel: RpcChannel;
  /** By gRPC. */
  readonly log: RpcClient<typeof LogService>;
  readonly admin: RpcClient<typeof AdminService>;
  readonly metadata: RpcClient<typeof MetadataService>;
  /** Makes the topic `orders` anew and forgets what was said and done. Resolves when the gateway knows of it. */
  reset(topic?: Pick<WorldOptions, "leads" | "settings">): Promise<void>;
  stop(): Promise<void>;
}

const usualLeads: readonly Leads[] = [
  { partition: 0, leader: 1, leaderEpoch: 1 },
  { partition: 1, leader: 2, leaderEpoch: 1 },
];

export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const controller = await startFakeController();
  const brokers: FakeBroker[] = [];
  for (let id = 1; id <= (options.brokers ?? 2); id++) brokers.push(await startFakeBroker(id));
  for (const broker of brokers) controller.register(broker.id, broker.endpoint);
  controller.putTopic({ settings: options.settings ?? {} }, options.leads ?? usualLeads);

  const pool = createChannelPool({ runtime });
  const { codecs } = await loadCodecs();
  const logger = createLogger({
    clock: runtime.clock,
    level: "fatal",
    service: "tidemark-gateway",
    instanceId: "gateway-1",
    write: () => undefined,
  });
  const gateway = createGateway({
    clusterId: undefined,
    controller: createActiveController({
      endpoints: options.controllerEndpoints ?? [controller.endpoint],
      pool,
      runtime,
    }),
    pool,
    runtime,
    codecs,
    tracer: options.tracer ?? createDisabledTracer(runtime.random),
    logger,
    batchBytesMax: 2 ** 20,
    deadline: { defaultMs: options.defaultMs ?? 5000, maxMs: 60_000 },
  });
  await gateway.open();
  const server = createRpcServer({
    runtime,
    listeners: {
      client: {
        port: 0,
        services: gateway.services,
        connections: { newPerAddressPerSecond: 1000, perAddress: 1000 },
        web: createWebHandler({ corsOrigins: options.corsOrigins ?? [], scheduler: runtime.scheduler, logger }),
        ...options.listener,
      },
    },
  });
  const { client } = await server.start();
  const port = client?.port ?? 0;
  const channel = pool.get(`127.0.0.1:${port}`, "produce");
  return {
    controller,
    brokers,
    broker(id) {
      const found = brokers.find((each) => each.id === id);
      if (found === undefined) throw new Error(`There is no broker ${id}`);
      return found;
    },
    server,
    port,
    channel,
    log: createRpcClient(LogService, channel),
    admin: createRpcClient(AdminService, channel),
    metadata: createRpcClient(MetadataService, channel),
    async reset({ leads = usualLeads, settings = {} } = {}) {
      for (const each of brokers) each.reset();
      for (const own of [controller.admin, controller.metadata]) {
        for (const key of Object.keys(own)) Reflect.deleteProperty(own, key);
      }
      controller.putTopic({ settings }, leads);
      await waitFor(
        "the gateway to know the topic",
        () => findTopic(gateway.image, "orders")?.topicId === controller.ordersId,
      );
    },
    async stop() {
      await server.stop(0);
      await gateway.stop();
      pool.close();
      await Promise.all(brokers.map((broker) => broker.stop()));
      await controller.stop();
    },
  };
}
