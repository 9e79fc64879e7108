import { create } from "@bufbuild/protobuf";
import {
  type FetchedPartition,
  FetchedPartitionSchema,
  type FetchPartition,
  FetchPartitionSchema,
  type FetchRequest,
  type FetchResponse,
  Format,
} from "@tidemark/proto/log/v1";
import { type CallContext, type CallOptions, TidemarkError, toErrorDetail } from "@tidemark/rpc";
import { abortWith } from "@tidemark/runtime";
import { traceIdTrailer } from "@tidemark/telemetry";
import {
  type Answers,
  askOnce,
  askPatiently,
  groupByLeader,
  type LeaderGroup,
  throwIfOnlyFailed,
} from "../routing/ask-leaders.ts";
import type { RoutedPartition } from "../routing/route-table.ts";
import { asCallerSees, type LogContext, passOn, readPauses } from "./context.ts";
import { type FetchLimits, hasRecords, mergeFetched, sizeOfFetched } from "./merge-fetched.ts";
import { askedPartitions } from "./partitions.ts";
import { recordRefusedFetch } from "./route-trace.ts";

/** What a fetch is bounded by where it does not say. */
const defaults = { bytes: 2 ** 20, peopleRecords: 100 } as const;
/** Records in people's forms: what stubs of every language take in one answer. */
const peopleBytesMax = 3.5 * 2 ** 20;
/** Bytes of one answer at most, whatever is asked for: what a gateway sends by default, less what stands around them. */
const answerBytesMax = 4 * 2 ** 20 - 64 * 1024;
/** Kept back of a long poll, so that its answer travels before the deadline, in milliseconds. */
const answerMarginMs = 50;

/** Why the other leaders are not waited for. One for all: to make an error costs more than the rest of a call's end. */
const anotherAnswered = new Error("Another leader has answered");

interface FetchCall {
  readonly request: FetchRequest;
  readonly call: CallContext;
  readonly partitions: readonly RoutedPartition[];
  readonly asked: ReadonlyMap<number, FetchPartition>;
  readonly limits: FetchLimits;
  readonly asking: Asking;
}

/** Whether a leader said that it recorded what it was asked: then it told of what failed there. */
interface Asking {
  isRecorded: boolean;
}

interface Wait {
  readonly waitMs: number;
  readonly options: CallOptions & { readonly signal: AbortSignal };
}

/**
 * The unary fetch over all leaders. One leader is simply asked. Several are asked at once without waiting; if they have
 * nothing, each is waited for, and the first that gets something ends the waiting. `min_bytes` is then what one of them
 * has to have.
 */
export function createFetch(context: LogContext) {
  const { table } = context;

  return async (request: FetchRequest, call: CallContext): Promise<FetchResponse> => {
    const asking = { isRecorded: false };
    try {
      return await askLeaders(request, call, asking);
    } catch (error) {
      if (error instanceof TidemarkError && !asking.isRecorded) {
        const refused = recordRefusedFetch(context.tracer, call, { topic: request.topic, error });
        if (refused !== undefined) call.setTrailer(traceIdTrailer, refused.traceId);
      }
      throw error;
    }
  };

  async function askLeaders(request: FetchRequest, call: CallContext, asking: Asking): Promise<FetchResponse> {
    const topic = table.topic(request.topic, request.topicId);
    const named = request.partitions.map(({ partition }) => partition);
    const partitions = askedPartitions(table, topic, named);
    const asked = new Map(request.partitions.map((each) => [each.partition, each]));
    const fetch: FetchCall = { request, call, partitions, asked, limits: limitsOf(request), asking };

    const endsAt = context.runtime.clock.monotonicMs() + request.maxWaitMs;
    const isOneLeader = groupByLeader(table, partitions).groups.length <= 1;
    const first = {
      waitMs: isOneLeader ? request.maxWaitMs : 0,
      options: { ...passOnNoting(fetch), signal: call.signal },
    };
    const answers = await askPatiently(
      question(fetch, partitions, first),
      readPauses(context, call),
      (now) => bytesOf(now) > 0,
    );
    throwIfOnlyFailed(answers);
    const restMs = endsAt - context.runtime.clock.monotonicMs();
    const isEnough = bytesOf(answers) >= Math.max(1, request.minBytes) || hasFailed(answers);
    const all = isEnough || restMs <= 0 ? answers : await waitForFirst(fetch, answers, restMs);
    return mergeFetched(
      request,
      partitions.flatMap(({ partition }) => {
        const answer = all.get(partition);
        return answer === undefined ? [] : [{ asked: askedFor(fetch, partition), answer }];
      }),
      fetch.limits,
    );
  }

  /** Lets every leader wait at the same time. What a leader has not said by the first answer is as it was before. */
  async function waitForFirst(
    fetch: FetchCall,
    before: Answers<FetchedPartition>,
    waitMs: number,
  ): Promise<Answers<FetchedPartition>> {
    const over = new AbortController();
    const unbind = abortWith(over, fetch.call.signal);
    const options = { ...passOnNoting(fetch), signal: over.signal };
    const { ask, ...rest } = question(fetch, fetch.partitions, { waitMs, options });
    const after = await askOnce({
      ...rest,
      ask: async (group, groups, left) => {
        const answers = await ask(group, groups, left);
        if (answers.some(hasRecords)) over.abort(anotherAnswered);
        return answers;
      },
    }).finally(unbind);
    const latest = new Map(before);
    for (const [partition, answer] of after) if (answer.error === undefined) latest.set(partition, answer);
    return latest;
  }

  function question(fetch: FetchCall, partitions: readonly RoutedPartition[], wait: Wait) {
    return {
      table,
      runtime: context.runtime,
      partitions,
      signal: wait.options.signal,
      ask: (group: LeaderGroup, groups: number, over: AbortSignal) =>
        fetchGroup(fetch, group, { waitMs: wait.waitMs, options: { ...wait.options, signal: over }, groups }),
      failed: (partition: number, given: TidemarkError) => {
        const error = asCallerSees(given, fetch.call);
        return create(FetchedPartitionSchema, { partition, error: toErrorDetail(error), message: error.message });
      },
    };
  }

  async function fetchGroup(
    fetch: FetchCall,
    group: LeaderGroup,
    { waitMs, options, groups }: Wait & { readonly groups: number },
  ): Promise<readonly FetchedPartition[]> {
    const { request, limits } = fetch;
    const client = context.leaders.client(group.endpoint, "fetch");
    const longest = (options.timeoutMs ?? Number.POSITIVE_INFINITY) - answerMarginMs;
    const { partitions } = await client.fetch(
      {
        ...request,
        topicId: group.partitions[0]?.topicId ?? "",
        partitions: group.partitions.map(({ partition }) => askedFor(fetch, partition)),
        maxBytes: Math.ceil(limits.bytes / groups),
        maxWaitMs: Math.max(0, Math.floor(Math.min(waitMs, longest))),
      },
      options,
    );
    return partitions;
  }
}

/** How the call goes on now, taking note of whether a leader recorded it. */
function passOnNoting({ call, asking }: FetchCall): CallOptions {
  const options = passOn(call);
  return {
    ...options,
    onTrailers(trailers) {
      if (trailers.get(traceIdTrailer) !== undefined) asking.isRecorded = true;
      options.onTrailers?.(trailers);
    },
  };
}

function limitsOf({ format, maxBytes, maxRecords }: FetchRequest): FetchLimits {
  const bytes = Math.min(maxBytes === 0 ? defaults.bytes : maxBytes, answerBytesMax);
  if (format === Format.BATCHES) return { bytes, records: Number.MAX_SAFE_INTEGER };
  return { bytes: Math.min(bytes, peopleBytesMax), records: maxRecords === 0 ? defaults.peopleRecords : maxRecords };
}

function askedFor({ asked }: FetchCall, partition: number): FetchPartition {
  return asked.get(partition) ?? create(FetchPartitionSchema, { partition });
}

function bytesOf(answers: Answers<FetchedPartition>): number {
  let bytes = 0;
  for (const answer of answers.values()) bytes += sizeOfFetched(answer);
  return bytes;
}

function hasFailed(answers: Answers<FetchedPartition>): boolean {
  return [...answers.values()].some(({ error }) => error !== undefined);
}
