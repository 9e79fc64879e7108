/** A broker that answers what a test says, and remembers what it was asked. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { AdminService } from "@tidemark/proto/admin/v1";
import type { ErrorDetail } from "@tidemark/proto/common/v1";
import {
  type FetchRequest,
  type FetchResponseSchema,
  LogService,
  type ProduceRequest,
  type ProduceResponseSchema,
  type ProduceStreamRequest,
  type SubscribeRequest,
} from "@tidemark/proto/log/v1";
import { iterateBatches } from "@tidemark/record";
import { type CallContext, createRpcServer, type ServiceImpl, serve } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";

type Answer<Init> = Init | Promise<Init>;
interface StreamResult {
  readonly baseOffset?: bigint;
  readonly leaderEpoch?: number;
  readonly error?: ErrorDetail;
  readonly message?: string;
}

export interface FakeBroker {
  readonly id: number;
  /** host:port of its `client` listener. */
  readonly endpoint: string;
  readonly produced: ProduceRequest[];
  readonly fetched: FetchRequest[];
  readonly streamed: ProduceStreamRequest[];
  readonly subscribed: SubscribeRequest[];
  /** Contexts of the calls, in their order. */
  readonly calls: CallContext[];
  /** To be replaced by tests. By default a produce is stored behind the last one. */
  produce: (request: ProduceRequest, call: CallContext) => Answer<MessageInitShape<typeof ProduceResponseSchema>>;
  fetch: (request: FetchRequest, call: CallContext) => Answer<MessageInitShape<typeof FetchResponseSchema>>;
  /** Whether it reads produce streams that begin. */
  isReading: boolean;
  /** What becomes of a message of a produce stream. */
  stream: (request: ProduceStreamRequest) => StreamResult | Promise<StreamResult>;
  /** Whatever else is asked. */
  readonly others: Partial<ServiceImpl<typeof LogService> & ServiceImpl<typeof AdminService>>;
  /** Forgets everything, what a test said too. */
  reset(): void;
  stop(): Promise<void>;
}

type Mutable = Omit<FakeBroker, "endpoint" | "stop" | "reset">;

/** `port`: 0 takes a free one. */
export async function startFakeBroker(id: number, port = 0): Promise<FakeBroker> {
  const ends = new Map<string, bigint>();
  const append = ({ topic, partition, batches }: Pick<ProduceRequest, "topic" | "partition" | "batches">) => {
    let records = 0n;
    for (const step of iterateBatches(batches)) if (step.kind === "ok") records += BigInt(step.header.recordCount);
    const key = `${topic}/${partition ?? 0}`;
    const baseOffset = ends.get(key) ?? 0n;
    ends.set(key, baseOffset + records);
    return baseOffset;
  };
  const usual: Pick<FakeBroker, "produce" | "fetch" | "stream" | "isReading"> = {
    isReading: true,
    produce: (request) => ({
      results: [{ partition: request.partition ?? 0, baseOffset: append(request), leaderEpoch: 1 }],
    }),
    fetch: (request) => ({
      partitions: request.partitions.map(({ partition, start }) => ({
        partition,
        nextOffset: start.case === "offset" ? start.value : 0n,
      })),
    }),
    stream: (request) => ({ baseOffset: append(request), leaderEpoch: 1 }),
  };
  const broker = {
    id,
    produced: [],
    fetched: [],
    streamed: [],
    subscribed: [],
    calls: [],
    others: {},
    ...usual,
  } as Mutable;
  const server = createRpcServer({
    runtime: createNodeRuntime(),
    listeners: {
      client: {
        port,
        messageLimitBytes: 8 * 2 ** 20,
        connections: { newPerAddressPerSecond: 1000, perAddress: 1000 },
        services: [
          serve(AdminService, {
            deleteRecords: (request, call) => answerOf(broker.others.deleteRecords)(request, call),
          }),
          serve(
            LogService,
            {
              produce(request, call) {
                broker.produced.push(request);
                broker.calls.push(call);
                return broker.produce(request, call);
              },
              fetch(request, call) {
                broker.fetched.push(request);
                broker.calls.push(call);
                return broker.fetch(request, call);
              },
              subscribe(request, call) {
                broker.subscribed.push(request);
                return answerOf(broker.others.subscribe)(request, call);
              },
              initProducer: (request, call) => answerOf(broker.others.initProducer)(request, call),
              listOffsets: (request, call) => answerOf(broker.others.listOffsets)(request, call),
              describeLog: (request, call) => answerOf(broker.others.describeLog)(request, call),
              explainOffset: (request, call) => answerOf(broker.others.explainOffset)(request, call),
            },
            {
              rules: { fetch: { longPoll: true } },
              raw: {
                produceStream: (stream, call) => {
                  broker.calls.push(call);
                  if (!broker.isReading) stream.pause();
                  let pending = 0;
                  let hasEnded = false;
                  const endWhenSettled = () => {
                    if (hasEnded && pending === 0) stream.end();
                  };
                  return {
                    onMessage(request) {
                      pending += 1;
                      broker.streamed.push(request);
                      Promise.resolve(broker.stream(request)).then(
                        (result) => {
                          pending -= 1;
                          stream.write({ results: [{ ...result, sequence: request.sequence }] });
                          endWhenSettled();
                        },
                        () => stream.end(),
                      );
                    },
                    onEnd() {
                      hasEnded = true;
                      endWhenSettled();
                    },
                  };
                },
              },
            },
          ),
        ],
      },
    },
  });
  const { client } = await server.start();
  return Object.assign(broker, {
    endpoint: `127.0.0.1:${client?.port ?? 0}`,
    stop: () => server.stop(0),
    reset() {
      ends.clear();
      for (const list of [broker.produced, broker.fetched, broker.streamed, broker.subscribed, broker.calls])
        list.length = 0;
      for (const key of Object.keys(broker.others)) Reflect.deleteProperty(broker.others, key);
      Object.assign(broker, usual);
    },
  });
}

function answerOf<Handler>(handler: Handler | undefined): Handler {
  if (handler === undefined) throw new Error("The test has no answer");
  return handler;
}
