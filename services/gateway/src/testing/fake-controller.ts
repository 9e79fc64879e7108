/** A controller whose metadata are what a test says. */

import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type BrokerId,
  brokerEpoch,
  brokerId,
  controllerEpoch,
  leaderEpoch,
  offset,
  partitionEpoch,
  partitionIndex,
  type TopicId,
  topicId,
} from "@tidemark/ids";
import { applyChanges, changeToWire, emptyImage, imageToChanges, type MetadataChange } from "@tidemark/metadata";
import { AdminService } from "@tidemark/proto/admin/v1";
import { MetadataService } from "@tidemark/proto/admin/v1/metadata";
import {
  ClusterService,
  MetadataFrame,
  type WatchControllerResponseSchema,
  type WatchMetadataResponseSchema,
} from "@tidemark/proto/cluster/v1";
import { createRpcServer, type ServiceImpl, serve } from "@tidemark/rpc";
import { createDeferred, createNodeRuntime } from "@tidemark/runtime";

type Frame = MessageInitShape<typeof WatchMetadataResponseSchema>;

const clusterId = "00000000-0000-4000-8000-00000000c1c1";

/** Who leads a partition of a topic. */
export interface Leads {
  readonly partition: number;
  /** Undefined: nobody. */
  readonly leader: number | undefined;
  readonly leaderEpoch: number;
}

export interface FakeController {
  /** host:port of its `internal` listener. */
  readonly endpoint: string;
  /** What answers, method by method. To be replaced by tests. */
  readonly admin: Partial<ServiceImpl<typeof AdminService>>;
  readonly metadata: Partial<ServiceImpl<typeof MetadataService>>;
  /** Of the last commit. */
  readonly revision: bigint;
  /** Commits changes, and tells watchers. */
  commit(changes: readonly MetadataChange[]): void;
  /** A broker registers at host:port. */
  register(broker: number, endpoint: string): void;
  unregister(broker: number): void;
  putTopic(
    topic: { readonly name?: string; readonly id?: TopicId; readonly settings?: Record<string, string> },
    leads: readonly Leads[],
  ): void;
  /** Of `orders`, unless another topic is given. */
  lead(leads: Leads, id?: TopicId): void;
  /** Id of the topic `orders`. */
  readonly ordersId: TopicId;
  /** Tells everyone who listens that this controller took the place of the active one. Called once. */
  takeOver(): void;
  stop(): Promise<void>;
}

export async function startFakeController(id = 1): Promise<FakeController> {
  const runtime = createNodeRuntime();
  let image = applyChanges(emptyImage, [
    { kind: "cluster", value: { clusterId, formatVersion: 1, featureLevel: 1, sealed: false } },
  ]).image;
  let revision = 1n;
  let orders = newTopicId();
  const frames: Frame[] = [];
  let changed = createDeferred();
  const tookOver = createDeferred<MessageInitShape<typeof WatchControllerResponseSchema>>();
  async function* watchController() {
    yield await tookOver.promise;
    await new Promise(() => undefined);
  }

  const admin: Partial<ServiceImpl<typeof AdminService>> = {};
  const metadata: Partial<ServiceImpl<typeof MetadataService>> = {};
  async function* watch(signal: AbortSignal): AsyncGenerator<Frame> {
    yield {
      controllerEpoch: id,
      revision,
      frame: MetadataFrame.SNAPSHOT_END,
      changes: imageToChanges(image).map(changeToWire),
    };
    let place = frames.length;
    const aborted = createDeferred();
    signal.addEventListener("abort", () => aborted.resolve(), { once: true });
    while (!signal.aborted) {
      const change = changed.promise;
      for (; place < frames.length; place++) yield frames[place] as Frame;
      await Promise.race([change, aborted.promise]);
    }
  }
  const server = createRpcServer({
    runtime,
    listeners: {
      internal: {
        port: 0,
        services: [
          serve(ClusterService, { watchMetadata: (_, { signal }) => watch(signal), watchController }),
          serve(AdminService, lazily(admin, AdminService.methods)),
          serve(MetadataService, lazily(metadata, MetadataService.methods)),
        ],
      },
    },
  });
  const { internal } = await server.start();

  const controller: FakeController = {
    endpoint: `127.0.0.1:${internal?.port ?? 0}`,
    get ordersId() {
      return orders;
    },
    admin,
    metadata,
    get revision() {
      return revision;
    },
    commit(changes) {
      image = applyChanges(image, changes).image;
      revision += 1n;
      frames.push({
        controllerEpoch: id,
        revision,
        frame: MetadataFrame.DELTA,
        changes: changes.map(changeToWire),
      });
      const before = changed;
      changed = createDeferred();
      before.resolve();
    },
    register(broker, endpoint) {
      const [host = "", port = ""] = endpoint.split(":");
      const value = {
        brokerId: brokerId(broker),
        brokerEpoch: brokerEpoch(1),
        incarnationId: "eeeeeeee-0000-4000-8000-000000000001",
        directoryIds: [],
        endpoints: [{ listener: "client", host, port: Number(port) }],
        rack: "",
        state: "running",
      } as const;
      controller.commit([{ kind: "brokerSession", brokerId: value.brokerId, value }]);
    },
    unregister: (broker) =>
      controller.commit([{ kind: "brokerSession", brokerId: brokerId(broker), value: undefined }]),
    putTopic({ name = "orders", id: ownId = newTopicId(), settings = {} }, leads) {
      if (name === "orders") orders = ownId;
      const value = {
        name,
        topicId: ownId,
        partitions: leads.length,
        replicationFactor: 1,
        settings: new Map(Object.entries(settings)),
      };
      controller.commit([...leads.map((each) => putPartition(ownId, each)), { kind: "topic", name, value }]);
    },
    lead: (leads, ownId = orders) => controller.commit([putPartition(ownId, leads)]),
    takeOver: () => tookOver.resolve({ controllerEpoch: id, controllerId: id, endpoint: controller.endpoint }),
    stop: () => server.stop(0),
  };
  return controller;
}

let topics = 0;

function newTopicId(): TopicId {
  topics += 1;
  return topicId(`aaaaaaaa-0000-4000-8000-${String(topics).padStart(12, "0")}`);
}

function putPartition(id: TopicId, leads: Leads): MetadataChange {
  const isr: BrokerId[] = leads.leader === undefined ? [] : [brokerId(leads.leader)];
  const partition = partitionIndex(leads.partition);
  const value = {
    topicId: id,
    partition,
    replicas: isr.map((each) => ({ brokerId: each, directoryId: undefined })),
    isr,
    elr: [],
    minIsr: 1,
    leader: isr[0],
    leaderEpoch: leaderEpoch(leads.leaderEpoch),
    partitionEpoch: partitionEpoch(leads.leaderEpoch),
    controllerEpoch: controllerEpoch(1),
    adding: [],
    removing: [],
    recovering: false,
    logStart: offset(0n),
  };
  return { kind: "partition", topicId: id, partition, value };
}

/** Looks each handler up when it is called, so that a test can replace it. */
function lazily<Implementation extends object>(
  implementation: Implementation,
  methods: readonly { readonly localName: string; readonly methodKind: string }[],
): Implementation {
  const of = implementation as Record<string, (...call: unknown[]) => unknown>;
  const entries = methods.map(({ localName }) => [
    localName,
    (...call: unknown[]) => {
      const handler = of[localName];
      if (handler === undefined) throw new Error(`The test has no ${localName}`);
      return handler(...call);
    },
  ]);
  return Object.fromEntries(entries) as Implementation;
}
