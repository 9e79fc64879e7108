import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { produceProblem, splitByPartition } from "@tidemark/format";
import type { Topic } from "@tidemark/metadata";
import {
  type ProduceRequest,
  type ProduceResponse,
  ProduceResponseSchema,
  type ProduceResult,
  type ProduceResultSchema,
} from "@tidemark/proto/log/v1";
import {
  type CallContext,
  fromErrorDetail,
  invalidArgument,
  reasonName,
  TidemarkError,
  toErrorDetail,
} from "@tidemark/rpc";
import { traceIdTrailer } from "@tidemark/telemetry";
import { missingAnswer } from "../errors.ts";
import { callLeader } from "../routing/call-leader.ts";
import { createPauses } from "../routing/patience.ts";
import type { Route, RoutedPartition } from "../routing/route-table.ts";
import { type LogContext, passOn } from "./context.ts";
import {
  anyPartition,
  batchesPart,
  codecOf,
  type EncodeOptions,
  encodePart,
  type ProducePart,
} from "./produce-parts.ts";
import { beginRouteTrace, type RouteSpan, type RouteTrace } from "./route-trace.ts";
import { createTopicLimits } from "./topic-limits.ts";

type ResultInit = MessageInitShape<typeof ProduceResultSchema>;

/** What became of one partition's records. */
interface SettledPart {
  readonly result: ResultInit;
  readonly error: TidemarkError | undefined;
}

/** One call, as all of its parts see it. */
interface ProduceCall {
  readonly request: ProduceRequest;
  readonly call: CallContext;
  readonly trace: RouteTrace;
  /** Reading of the monotonic clock when the caller gives up. Undefined: it does not. */
  readonly endsAt: number | undefined;
}

/**
 * The unary produce. Everything is checked and encoded before anything is sent, so a request that cannot be stored as it
 * is leaves nothing behind. Then each partition's records go to its leader, all at the same time.
 */
export function createProduce(context: LogContext) {
  const { table, leaders, runtime, codecs } = context;
  const { clock, random } = runtime;
  const limitOf = createTopicLimits(context.batchBytesMax);

  return async (request: ProduceRequest, call: CallContext): Promise<ProduceResponse> => {
    const trace = beginRouteTrace(context.tracer, clock, call);
    if (trace.traceId !== undefined) call.setTrailer(traceIdTrailer, trace.traceId);
    try {
      const problem = produceProblem(request);
      if (problem !== undefined) throw invalidArgument(problem);
      const topic = table.topic(request.topic, request.topicId);
      if (request.partition !== undefined) table.partition(topic, request.partition);
      const produce = { request, call, trace, endsAt: endOf(request, call) };
      const settled = await Promise.all(partsOf(request, topic, trace).map((part) => producePart(produce, part)));
      const [only] = settled;
      if (settled.length === 1 && only?.error !== undefined) throw only.error;
      return create(ProduceResponseSchema, { results: settled.map(({ result }) => result) });
    } catch (error) {
      if (error instanceof TidemarkError) {
        const refused = trace.refuse({ topic: request.topic, error });
        if (refused !== undefined) call.setTrailer(traceIdTrailer, refused.traceId);
      }
      throw error;
    } finally {
      trace.end();
    }
  };

  function endOf({ timeoutMs }: ProduceRequest, call: CallContext): number | undefined {
    const leftMs = call.timeoutMs() ?? Number.POSITIVE_INFINITY;
    const mostMs = timeoutMs === 0 ? leftMs : Math.min(timeoutMs, leftMs);
    return mostMs === Number.POSITIVE_INFINITY ? undefined : clock.monotonicMs() + mostMs;
  }

  function partsOf(request: ProduceRequest, topic: Topic, trace: RouteTrace): ProducePart[] {
    if (request.batches.length > 0) return [batchesPart(request, limitOf(topic))];
    const options: EncodeOptions = {
      codec: codecOf(request.codec, codecs),
      nowMs: clock.wallMs(),
      traceHeader: trace.recordHeader,
      batchBytesMax: limitOf(topic),
    };
    const split = splitByPartition(request, {
      partitions: () => topic.partitions,
      anyPartition: () => anyPartition(topic, table, random),
    });
    return Array.from(split, ([partition, records]) => encodePart(records, { topic: topic.name, partition }, options));
  }

  async function producePart(produce: ProduceCall, part: ProducePart): Promise<SettledPart> {
    const { request, call, trace, endsAt } = produce;
    const remainingMs = () => (endsAt === undefined ? undefined : endsAt - clock.monotonicMs());
    const { partition } = part;
    try {
      const result = await callLeader(context, createPauses(table, runtime, { signal: call.signal, remainingMs }), {
        signal: call.signal,
        locate: () => table.partition(table.topic(request.topic, request.topicId), partition),
        effect: part.isIdempotent ? "once" : "eachTime",
        attempt: (attempt, routed, over) =>
          recorded(trace.attempt(attempt, routed), (span) =>
            send(produce, part, { routed, route: attempt.route, over, span, timeoutMs: remainingMs() }),
          ),
      });
      return { result: { ...result, partition, records: part.records }, error: undefined };
    } catch (error) {
      if (!(error instanceof TidemarkError)) throw error;
      return { result: { partition, error: toErrorDetail(error), message: error.message }, error };
    }
  }

  /** One try. The topic's id goes along, so that a topic of the same name made again is not hit. */
  async function send(
    { request, call }: ProduceCall,
    { partition, batches }: ProducePart,
    to: {
      readonly routed: RoutedPartition;
      readonly route: Route;
      readonly over: AbortSignal;
      readonly span: RouteSpan;
      readonly timeoutMs: number | undefined;
    },
  ): Promise<ProduceResult> {
    const { routed, route } = to;
    const { results } = await leaders.client(route.endpoint, "produce").produce(
      {
        topic: routed.topic,
        topicId: routed.topicId,
        partition,
        batches,
        acks: request.acks,
        codec: request.codec,
        timeoutMs: to.timeoutMs === undefined ? 0 : Math.max(1, Math.ceil(to.timeoutMs)),
      },
      { ...passOn(call, to.span.headers), signal: to.over },
    );
    const [result] = results;
    if (result === undefined) throw missingAnswer(routed, route.endpoint);
    if (result.error !== undefined) throw fromErrorDetail(result.error, result.message);
    return result;
  }
}

async function recorded<Answer>(span: RouteSpan, work: (span: RouteSpan) => Promise<Answer>): Promise<Answer> {
  try {
    const answer = await work(span);
    span.end();
    return answer;
  } catch (error) {
    span.end(error instanceof TidemarkError ? reasonName(error.reason) : "REASON_INTERNAL");
    throw error;
  }
}
