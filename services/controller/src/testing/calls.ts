/** Calls as brokers and people make them, without a wire between. */
import { create, type DescMessage, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { CreateTopicRequestSchema, DescribeTopicsRequestSchema, type TopicDescription } from "@tidemark/proto/admin/v1";
import {
  HeartbeatRequestSchema,
  type HeartbeatResponseSchema,
  type MetadataFrame,
  RegisterRequestSchema,
  WatchMetadataRequestSchema,
  type WatchMetadataResponseSchema,
} from "@tidemark/proto/cluster/v1";
import type { CallContext } from "@tidemark/rpc";
import type { Node, TestStore, World } from "./world.ts";

/** A call's context as a server would make it. */
export function callContext(signal: AbortSignal = new AbortController().signal): CallContext {
  return { signal } as CallContext;
}

/** A request with its defaults. */
export function request<Desc extends DescMessage>(
  schema: Desc,
  init: MessageInitShape<Desc> = {} as MessageInitShape<Desc>,
): MessageShape<Desc> {
  return create(schema, init);
}

function uuid(letter: string, number: number): string {
  return `${letter.repeat(8)}-0000-4000-8000-${String(number).padStart(12, "0")}`;
}

/** A directory of a broker. */
export function directoryOf(broker: number, number = 0): string {
  return uuid("d", broker * 100 + number);
}

export function incarnationOf(number: number): string {
  return uuid("e", number);
}

/** The port that a probe of this broker tries. */
export function portOf(broker: number): number {
  return 5660 + broker;
}

type Register = MessageInitShape<typeof RegisterRequestSchema>;

/** The controller epoch in which it leads. Backends count from where they will. */
export function epochOf(node: Node): number {
  const activated = node.events.findLast((event) => event.kind === "activated");
  if (activated === undefined) throw new Error("It was never active");
  return activated.epoch;
}

/** A broker of this number registers. */
export async function register(at: Node, broker: number, init: Register = {}) {
  const call = request(RegisterRequestSchema, {
    brokerId: broker,
    incarnationId: incarnationOf(broker),
    directoryIds: [directoryOf(broker)],
    endpoints: [
      { listener: "client", host: "127.0.0.1", port: 4660 + broker },
      { listener: "internal", host: "127.0.0.1", port: portOf(broker) },
    ],
    ...init,
  });
  return at.controller.cluster.register(call, callContext());
}

export async function createTopic(
  at: Node,
  topic: string,
  init: MessageInitShape<typeof CreateTopicRequestSchema> = {},
) {
  return at.controller.admin.createTopic(request(CreateTopicRequestSchema, { topic, ...init }), callContext());
}

/** The topic as it is described; the call fails where there is none. */
export async function describeTopic(at: Node, topic: string): Promise<TopicDescription> {
  const query = request(DescribeTopicsRequestSchema, { topics: [topic] });
  const { topics = [] } = await at.controller.admin.describeTopics(query, callContext());
  const [described] = topics;
  if (described === undefined) throw new Error(`No description of ${topic}`);
  return described as TopicDescription;
}

/** A heartbeat stream that a test drives. */
export interface HeartbeatStream {
  beat(init?: MessageInitShape<typeof HeartbeatRequestSchema>): void;
  readonly answers: MessageInitShape<typeof HeartbeatResponseSchema>[];
  /** Why it failed. Undefined while it has not. */
  failure(): unknown;
  /** The broker closes it, or its connection breaks: the controller sees the same. */
  close(): void;
}

export function openHeartbeat(
  at: Node,
  broker: { readonly brokerId: number; readonly brokerEpoch: number },
): HeartbeatStream {
  const queue: MessageShape<typeof HeartbeatRequestSchema>[] = [];
  let wake: () => void = () => undefined;
  let isClosed = false;
  let failure: unknown;
  let sequence = 0n;
  async function* requests() {
    while (!isClosed || queue.length > 0) {
      const next = queue.shift();
      if (next !== undefined) yield next;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  }
  const answers: MessageInitShape<typeof HeartbeatResponseSchema>[] = [];
  const read = async () => {
    for await (const answer of at.controller.cluster.heartbeat(requests(), callContext())) answers.push(answer);
  };
  read().catch((error: unknown) => {
    failure = error;
  });
  return {
    answers,
    failure: () => failure,
    beat(init = {}) {
      sequence += 1n;
      queue.push(request(HeartbeatRequestSchema, { ...broker, sequence, ...init }));
      wake();
    },
    close() {
      isClosed = true;
      wake();
    },
  };
}

/** A broker that registered and sends a heartbeat now and then. */
export interface PlayedBroker extends HeartbeatStream {
  readonly brokerId: number;
  readonly brokerEpoch: number;
}

export async function joinBroker<Store extends TestStore>(
  world: World<Store>,
  at: Node,
  broker: number,
  init: Register = {},
): Promise<PlayedBroker> {
  const answer = await world.settle(register(at, broker, init));
  const session = { brokerId: broker, brokerEpoch: answer.brokerEpoch ?? 0 };
  const stream = openHeartbeat(at, session);
  stream.beat();
  await world.until(() => stream.answers.length === 1, "the first heartbeat's answer");
  return { ...stream, ...session };
}

/** The first controller, active, and brokers from 1 on that have joined it. */
export async function startWithBrokers<Store extends TestStore>(
  world: World<Store>,
  count: number,
  start: Parameters<World<Store>["start"]>[1] = {},
): Promise<{ readonly node: Node; readonly brokers: readonly PlayedBroker[] }> {
  const node = await world.start(1, start);
  await world.active();
  const brokers: PlayedBroker[] = [];
  for (let id = 1; id <= count; id++) brokers.push(await joinBroker(world, node, id));
  return { node, brokers };
}

/** Time goes on while these brokers send heartbeats. */
export async function passTime<Store extends TestStore>(
  world: World<Store>,
  durationMs: number,
  brokers: readonly HeartbeatStream[] = [],
): Promise<void> {
  for (let passedMs = 0; passedMs < durationMs; passedMs += 100) {
    if (passedMs % 500 === 0) for (const broker of brokers) broker.beat();
    await world.time.advance(Math.min(100, durationMs - passedMs));
  }
}

type Frame = MessageInitShape<typeof WatchMetadataResponseSchema>;

/** A watch of the metadata that is read as fast as it comes. */
export interface MetadataWatch {
  readonly frames: Frame[];
  failure(): unknown;
  /** Frames of a kind. */
  count(kind: MetadataFrame): number;
  stop(): void;
}

/** `goOn`: what is read behind the first frame waits for it. */
export function openWatch(
  at: Node,
  init: MessageInitShape<typeof WatchMetadataRequestSchema> = {},
  goOn: Promise<void> = Promise.resolve(),
): MetadataWatch {
  const frames: Frame[] = [];
  const abort = new AbortController();
  let failure: unknown;
  const read = async () => {
    const call = request(WatchMetadataRequestSchema, init);
    for await (const frame of at.controller.cluster.watchMetadata(call, callContext(abort.signal))) {
      frames.push(frame);
      await goOn;
    }
  };
  read().catch((error: unknown) => {
    failure = error;
  });
  return {
    frames,
    failure: () => failure,
    count: (kind) => frames.filter((frame) => frame.frame === kind).length,
    stop: () => abort.abort(new Error("stopped")),
  };
}
