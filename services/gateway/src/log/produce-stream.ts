import type { MessageInitShape } from "@bufbuild/protobuf";
import { Reason } from "@tidemark/proto/common/v1";
import type { ProduceStreamRequest, ProduceStreamResponseSchema, ProduceStreamResult } from "@tidemark/proto/log/v1";
import {
  type CallContext,
  type CallOptions,
  fromErrorDetail,
  invalidArgument,
  type RawListener,
  type RawStream,
  reasonName,
  TidemarkError,
} from "@tidemark/rpc";
import { createPauses, type Pauses } from "../routing/patience.ts";
import { isReplaced } from "../routing/replaced-leaders.ts";
import type { Route, RoutedPartition } from "../routing/route-table.ts";
import { checkFraming } from "./check-batches.ts";
import type { LogContext } from "./context.ts";
import { leaveReplaced } from "./leave-replaced.ts";
import { createPartitionLane, type LaneDriver, type PartitionLane } from "./partition-lane.ts";
import { openProduceUpstream, type ProduceUpstream } from "./produce-upstream.ts";
import { beginRouteTrace, type RouteSpan, type RouteTrace } from "./route-trace.ts";
import { createStreamAnswers, type StreamAnswers } from "./stream-answers.ts";
import { createTopicLimits } from "./topic-limits.ts";

/** How long an answer may take where a message does not say, in milliseconds. */
const timeoutDefaultMs = 30_000;

/** A message on its way. */
interface Sent {
  readonly request: ProduceStreamRequest;
  readonly side: LaneSide;
  /** Reading of the monotonic clock when it has to be answered. */
  readonly endsAt: number;
  /** It has a producer id. */
  readonly isIdempotent: boolean;
  /** By which it was sent last. Undefined: there was none. */
  route: Route | undefined;
  readonly trace: RouteTrace;
  attempts: number;
  /** Span of the try that is on its way. */
  span: RouteSpan | undefined;
}

/** The messages of one partition, and the pauses between their tries. */
interface LaneSide {
  readonly lane: PartitionLane<Sent>;
  readonly pauses: Pauses;
}

/** What the parts of one producer's stream share. */
interface StreamSession extends LogContext {
  readonly call: CallContext;
  readonly answers: StreamAnswers;
  /** The stream to a leader. Opened when it is first asked for. */
  upstreamTo(endpoint: string): ProduceUpstream<Sent>;
}

/**
 * The produce stream over all leaders: behind the producer's stream there is one to each of them. Batches of a partition
 * keep their order (see partition-lane.ts). When the gateway stops, what is in flight is settled first.
 */
export function createProduceStream(context: LogContext) {
  const limitOf = createTopicLimits(context.batchBytesMax);
  return (
    stream: RawStream<MessageInitShape<typeof ProduceStreamResponseSchema>>,
    call: CallContext,
  ): RawListener<ProduceStreamRequest> => {
    const { table, runtime } = context;
    const lanes = new Map<string, LaneSide>();
    const upstreams = createUpstreams(context, call, {
      onRoom() {
        for (const { lane } of lanes.values()) lane.pump();
      },
      onApplied: (sent, result) => answers.settle(sent.request, result),
    });
    const { scheduler } = runtime;
    const answers = createStreamAnswers(stream, { scheduler, budget: context.unansweredBudget }, upstreams.end);
    const session: StreamSession = { ...context, call, answers, upstreamTo: upstreams.to };
    const sideOf = (key: string): LaneSide => {
      const known = lanes.get(key) ?? createLaneSide(session);
      lanes.set(key, known);
      return known;
    };

    return {
      onMessage(request) {
        const trace = beginRouteTrace(context.tracer, runtime.clock, traceOf(request, call));
        const refusal = answers.expect(request);
        if (refusal !== undefined) {
          trace.refuse({ topic: request.topic, error: refusal });
          trace.end();
          return;
        }
        try {
          if (request.batches.length === 0)
            throw invalidArgument("batches is empty: a message carries encoded batches");
          const topic = table.topic(request.topic, request.topicId);
          const place = table.partition(topic, request.partition);
          const { isIdempotent } = checkFraming(request.batches, place, limitOf(topic));
          const timeoutMs = request.timeoutMs === 0 ? timeoutDefaultMs : request.timeoutMs;
          const side = sideOf(`${request.topic}/${request.partition}`);
          const endsAt = runtime.clock.monotonicMs() + timeoutMs;
          const untried = { route: undefined, attempts: 0, span: undefined };
          side.lane.add({ request, side, endsAt, isIdempotent, trace, ...untried });
        } catch (error) {
          if (!(error instanceof TidemarkError)) throw error;
          trace.refuse({ topic: request.topic, error });
          trace.end();
          answers.settle(request, error);
        }
      },
      onEnd: () => answers.end(undefined),
      onDrain: () => answers.onDrain(),
      onStop() {
        stream.pause();
        for (const { lane } of lanes.values()) lane.abandon(stopping());
        answers.end(stopping());
      },
      onClose(error) {
        answers.drop();
        upstreams.cancel(error ?? stopping());
      },
    };
  };
}

function createLaneSide(session: StreamSession): LaneSide {
  const { table, runtime, answers, call } = session;
  const { clock } = runtime;
  let oldestEndsAt = 0;
  const remainingMs = () => oldestEndsAt - clock.monotonicMs();
  const pauses = createPauses(table, runtime, { signal: call.signal, remainingMs });
  const driver: LaneDriver<Sent> = {
    settle({ request, trace }, error) {
      trace.refuse({ topic: request.topic, error });
      trace.end();
      answers.settle(request, error);
    },
    send(sent) {
      try {
        return sendNow(session, sent);
      } catch (error) {
        if (error instanceof TidemarkError) return error;
        throw error;
      }
    },
    isIdempotent: (sent) => sent.isIdempotent,
    pause(held, error) {
      oldestEndsAt = Math.min(...held.map(({ endsAt }) => endsAt));
      return pauses.next(refusedOf(session, held), error);
    },
  };
  return { lane: createPartitionLane(driver), pauses };
}

/** Throws where there is nowhere to send it to. */
function sendNow(session: StreamSession, sent: Sent): "sent" | "later" {
  const partition = locate(session, sent.request);
  const route = session.table.route(partition);
  sent.route = route;
  if (route === undefined) throw session.table.noRoute(partition);
  const upstream = session.upstreamTo(route.endpoint);
  if (!upstream.hasRoom) return "later";
  const timeoutMs = Math.max(1, Math.ceil(sent.endsAt - session.runtime.clock.monotonicMs()));
  sent.attempts += 1;
  sent.span = sent.trace.attempt({ route, number: sent.attempts }, partition);
  const { traceparent = "" } = sent.span.headers;
  upstream.send({ ...sent.request, topicId: partition.topicId, timeoutMs, traceparent }, sent);
  return "sent";
}

/** A batch's own trace context, else that of its stream. */
function traceOf(
  { traceparent }: ProduceStreamRequest,
  call: CallContext,
): Pick<CallContext, "traceparent" | "tracestate"> {
  return traceparent === "" ? call : { traceparent, tracestate: undefined };
}

/** Looked up anew for each try: a topic may be made again meanwhile. */
function locate({ table }: LogContext, request: ProduceStreamRequest): RoutedPartition {
  return table.partition(table.topic(request.topic, request.topicId), request.partition);
}

function refusedOf(session: StreamSession, held: readonly Sent[]) {
  const [first] = held;
  if (first === undefined) return [];
  try {
    return [{ partition: locate(session, first.request), leaderEpoch: first.route?.leaderEpoch }];
  } catch {
    // The next try says what is wrong with it.
    return [];
  }
}

interface Upstreams {
  /** Opened when it is first asked for. */
  readonly to: (endpoint: string) => ProduceUpstream<Sent>;
  readonly end: () => void;
  readonly cancel: (error: TidemarkError) => void;
}

/** The streams to the leaders of one producer's partitions. */
function createUpstreams(
  context: LogContext,
  call: CallContext,
  { onRoom, onApplied }: { onRoom: () => void; onApplied: (sent: Sent, result: ProduceStreamResult) => void },
): Upstreams {
  const open = new Map<string, ProduceUpstream<Sent>>();
  const options = headersOf(call);
  const stopLeaving = leaveReplaced({
    table: context.table,
    scheduler: context.runtime.scheduler,
    upstreams: open,
    isReplaced: (sent) => hasOtherLeader(context, sent),
    onLeft: onRoom,
    onRouted: onRoom,
  });
  const onResult = (sent: Sent, result: ProduceStreamResult) => {
    const { lane, pauses } = sent.side;
    if (result.error !== undefined) {
      const error = fromErrorDetail(result.error, result.message);
      sent.span?.end(reasonName(error.reason));
      learn(context, sent, error);
      lane.onFailed(sent, error);
      return;
    }
    sent.span?.end();
    sent.trace.end();
    pauses.reset();
    onApplied(sent, result);
    lane.onApplied(sent);
  };
  return {
    to(endpoint: string): ProduceUpstream<Sent> {
      const known = open.get(endpoint);
      if (known !== undefined) return known;
      const opened = openProduceUpstream<Sent>(context.leaders.channel(endpoint, "produce"), options, {
        onResult,
        onLost(sent, error) {
          sent.span?.end(reasonName(error.reason));
          sent.side.lane.onFailed(sent, error);
        },
        onDrain: onRoom,
        onClose: () => {
          open.delete(endpoint);
        },
      });
      if (opened.isOpen) open.set(endpoint, opened);
      return opened;
    },
    end() {
      for (const upstream of open.values()) upstream.end();
    },
    cancel(error: TidemarkError) {
      stopLeaving();
      for (const upstream of open.values()) upstream.cancel(error);
    },
  };
}

/** Without the call's signal: that is aborted when the gateway stops, and what is in flight is to be answered then. */
function headersOf({ traceparent, tracestate }: CallContext): CallOptions {
  return {
    ...(traceparent === undefined ? {} : { traceparent }),
    ...(tracestate === undefined ? {} : { tracestate }),
  };
}

/** Whether another broker leads than the one that it was sent to. */
function hasOtherLeader(context: LogContext, { request, route }: Sent): boolean {
  try {
    return route !== undefined && isReplaced(context.table, locate(context, request), route);
  } catch {
    // The topic is gone: nobody else leads it.
    return false;
  }
}

/** A hint of a newer leader counts for every call. */
function learn(context: LogContext, { request }: Sent, error: TidemarkError): void {
  try {
    context.table.learn(locate(context, request), error.fields.leader);
  } catch {
    // The topic is gone: the next try says so.
  }
}

function stopping(): TidemarkError {
  return new TidemarkError({ reason: Reason.SHUTTING_DOWN, message: "This gateway is stopping. Call another one." });
}
