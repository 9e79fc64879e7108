import { crc32c } from "@tidemark/compression";
import { chooseCodec, encodeRecords, produceProblem, splitByPartition } from "@tidemark/format";
import type { Codec as CodecId } from "@tidemark/proto/common/v1";
import type { ProduceRequest, ProduceResult, Record as RecordMessage } from "@tidemark/proto/log/v1";
import type { Codec, Codecs } from "@tidemark/record";
import {
  type CallContext,
  invalidArgument,
  invalidRecord,
  TidemarkError,
  toErrorDetail,
  unavailableCodec,
} from "@tidemark/rpc";
import { type Clock, pick, type Random } from "@tidemark/runtime";
import { type TraceContext, traceIdTrailer } from "@tidemark/telemetry";
import type { Partition, ProduceOutcome } from "../partition/partition.ts";
import type { PartitionLookup } from "../table/partition-table.ts";
import type { Appender } from "./append.ts";
import { checkBatches } from "./check-batches.ts";
import type { ProduceTracer } from "./produce-trace.ts";

export interface ProduceOptions {
  readonly table: PartitionLookup;
  readonly appender: Appender;
  readonly tracer: ProduceTracer;
  readonly codecs: Codecs;
  /** `decompression.ratio.max`. Absent: as much as readers take. */
  readonly decompressionRatioMax?: number | undefined;
  readonly clock: Clock;
  readonly random: Random;
}

type ResultInit = Partial<Omit<ProduceResult, "$typeName" | "$unknown">>;

/** The unary produce. Records of several partitions are appended one partition after the other. */
export function createProduce(options: ProduceOptions) {
  const { table, codecs, clock } = options;

  return async (request: ProduceRequest, context: CallContext): Promise<{ results: ResultInit[] }> => {
    const parts = partsOf(request, context);
    const settled = await Promise.all(parts.map((part) => appendPart(part, request, context)));
    const [only] = settled;
    if (settled.length === 1 && only?.outcome.kind === "failed") throw only.outcome.error;
    return { results: settled.map(toResult) };
  };

  interface Part {
    readonly partition: number;
    encode(): Uint8Array;
  }

  function partsOf(request: ProduceRequest, context: CallContext): readonly Part[] {
    try {
      const problem = produceProblem(request);
      if (problem !== undefined) throw invalidArgument(problem);
      return request.batches.length > 0 ? [fastPart(request)] : recordParts(request);
    } catch (error) {
      if (error instanceof TidemarkError) recordRefusal(request, context, error);
      throw error;
    }
  }

  function recordRefusal(request: ProduceRequest, context: CallContext, error: TidemarkError): void {
    const { topic, partition = 0 } = request;
    nameTrace(context, options.tracer.fail(context, { topic, partition, error }));
  }

  function fastPart(request: ProduceRequest): Part {
    const { partition = 0, batches } = request;
    return { partition, encode: () => batches };
  }

  function recordParts(request: ProduceRequest): Part[] {
    const codec = codecOf(request.codec, codecs);
    const split = splitByPartition(request, {
      partitions: () => table.partitionCount(request.topic),
      anyPartition: () => anyLed(request.topic),
    });
    return Array.from(split, ([partition, records]) => ({
      partition,
      encode: () => encode(records, { topic: request.topic, partition }, codec),
    }));
  }

  /** Records without a key go to a partition that this broker leads; where it leads none the error says who does. */
  function anyLed(topic: string): number {
    return pick(options.random, table.ledOf(topic)) ?? 0;
  }

  function encode(
    records: readonly RecordMessage[],
    place: { topic: string; partition: number },
    codec: Codec | undefined,
  ) {
    const encoded = encodeRecords(records, { nowMs: clock.wallMs(), crc32c, codec });
    if (encoded.kind === "ok") return encoded.batch;
    throw invalidRecord(place, encoded.index, encoded.message);
  }

  interface SettledPart {
    readonly partition: number;
    readonly records: number;
    readonly outcome: ProduceOutcome;
    readonly acks: ProduceRequest["acks"];
  }

  function appendPart(part: Part, request: ProduceRequest, context: CallContext): Promise<SettledPart> {
    return new Promise((resolve) => {
      const done = (records: number, outcome: ProduceOutcome) =>
        resolve({ partition: part.partition, records, outcome, acks: request.acks });
      try {
        const partition: Partition = table.find({ ...request, partition: part.partition });
        const place = { topic: request.topic, partition: part.partition };
        const batches = checkBatches(part.encode(), place, {
          settings: partition.settings,
          codecs,
          acks: request.acks,
          ratioMax: options.decompressionRatioMax,
        });
        const traced = options.tracer.begin(context);
        options.appender.append(
          {
            partition,
            batches,
            acks: request.acks,
            timeoutMs: timeoutOf(request.timeoutMs, context),
            isPunctual: true,
            caller: context,
            traced,
          },
          (outcome, trace) => {
            nameTrace(context, trace);
            done(batches.records, outcome);
          },
        );
      } catch (error) {
        if (!(error instanceof TidemarkError)) throw error;
        recordRefusal({ ...request, partition: part.partition }, context, error);
        done(0, { kind: "failed", error });
      }
    });
  }
}

/** Tells the caller in which trace its call was recorded. */
function nameTrace(context: CallContext, trace: TraceContext | undefined): void {
  if (trace !== undefined) context.setTrailer(traceIdTrailer, trace.traceId);
}

/** The earlier of what the request asks for and what its deadline allows. */
function timeoutOf(timeoutMs: number, context: CallContext): number | undefined {
  const deadline = context.timeoutMs();
  if (timeoutMs === 0) return deadline;
  return deadline === undefined ? timeoutMs : Math.min(timeoutMs, deadline);
}

function codecOf(id: CodecId, codecs: Codecs): Codec | undefined {
  const chosen = chooseCodec(id, codecs);
  if (chosen.kind === "unavailable") throw unavailableCodec(chosen.name, Object.keys(codecs));
  return chosen.kind === "codec" ? chosen.codec : undefined;
}

function toResult(part: {
  readonly partition: number;
  readonly records: number;
  readonly outcome: ProduceOutcome;
  readonly acks: ProduceRequest["acks"];
}): ResultInit {
  const { partition, records, outcome } = part;
  if (outcome.kind === "failed") {
    return { partition, error: toErrorDetail(outcome.error), message: outcome.error.message };
  }
  return { partition, records, baseOffset: outcome.baseOffset, leaderEpoch: outcome.leaderEpoch };
}
