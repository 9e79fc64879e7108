import type { BrokerId } from "@tidemark/ids";
import { LogService } from "@tidemark/proto/log/v1";
import type { Codecs } from "@tidemark/record";
import { type ByteBudget, createProcessBudget, type ServedService, serve } from "@tidemark/rpc";
import type { Runtime } from "@tidemark/runtime";
import type { Tracer } from "@tidemark/telemetry";
import type { ProducerIds } from "../controller/producer-ids.ts";
import type { BrokerMetrics } from "../metrics/broker-metrics.ts";
import type { PartitionLookup } from "../table/partition-table.ts";
import { createAppender } from "./append.ts";
import { createDescribeLog, createExplainOffset } from "./describe.ts";
import { createFetch } from "./fetch.ts";
import { createFetchTracer } from "./fetch-trace.ts";
import { createInitProducer } from "./init-producer.ts";
import { createListOffsets } from "./offsets.ts";
import { createProduce } from "./produce.ts";
import { createProduceStream } from "./produce-stream.ts";
import { createProduceTracer } from "./produce-trace.ts";
import { createSubscribe } from "./subscribe.ts";

export interface LogServiceOptions {
  readonly brokerId: BrokerId;
  readonly table: PartitionLookup;
  readonly producerIds: ProducerIds;
  readonly runtime: Runtime;
  readonly codecs: Codecs;
  /** `decompression.ratio.max`. Absent: as much as readers take. */
  readonly decompressionRatioMax?: number | undefined;
  /** What the messages of all produce streams may cost that are not answered. Absent: a quarter of the heap. */
  readonly unansweredBudget?: ByteBudget | undefined;
  readonly tracer: Tracer;
  readonly metrics: BrokerMetrics;
  /** When the controller was last heard, on the monotonic clock. */
  readonly controllerHeardMs: () => number;
}

/** The data service, for the partitions that this broker leads. */
export function createLogService(options: LogServiceOptions): ServedService {
  const { brokerId, table, runtime, codecs, tracer, metrics, controllerHeardMs } = options;
  const { decompressionRatioMax, unansweredBudget = createProcessBudget() } = options;
  const { clock, random, scheduler } = runtime;
  const produceTracer = createProduceTracer(tracer, clock);
  const appender = createAppender({ clock, scheduler, tracer: produceTracer, metrics });
  const fetchTracer = createFetchTracer(tracer, clock);
  const producing = { table, appender, tracer: produceTracer, codecs, decompressionRatioMax };
  const reading = { table, codecs, clock, scheduler, tracer: fetchTracer, metrics, controllerHeardMs };
  return serve(
    LogService,
    {
      initProducer: createInitProducer(options.producerIds),
      produce: createProduce({ ...producing, clock, random }),
      fetch: createFetch(reading),
      subscribe: createSubscribe(reading),
      listOffsets: createListOffsets(table, clock),
      describeLog: createDescribeLog(table, brokerId),
      explainOffset: createExplainOffset(table),
    },
    {
      raw: { produceStream: createProduceStream({ ...producing, scheduler, unansweredBudget }) },
      rules: { fetch: { longPoll: true } },
    },
  );
}
