import type { MessageInitShape } from "@bufbuild/protobuf";
import { backoffMs } from "@tidemark/controller-link";
import { createSubscribeCredit, type SubscribeCredit } from "@tidemark/format";
import { Format, type SubscribeRequest, type SubscribeResponseSchema } from "@tidemark/proto/log/v1";
import { type CallContext, TidemarkError, toErrorDetail } from "@tidemark/rpc";
import type { Cancel } from "@tidemark/runtime";
import type { Route } from "../../routing/route-table.ts";
import { asCallerSees, type LogContext, passOn } from "../context.ts";
import { keepRecords } from "../merge-fetched.ts";
import { followLeader, type Told } from "./follow-leader.ts";
import type { FollowedPartition } from "./followed-partition.ts";
import { createMailbox, type Mailbox } from "./mailbox.ts";
import { beginAt } from "./starts.ts";

type Frame = MessageInitShape<typeof SubscribeResponseSchema>;

/** How long a partition may fail before the caller is told that it does, in milliseconds. */
const tellAfterMs = 2000;

/** What one subscription works with. */
interface Session {
  readonly context: LogContext;
  readonly call: CallContext;
  readonly request: SubscribeRequest;
  readonly states: readonly FollowedPartition[];
  readonly mailbox: Mailbox<{ readonly state: FollowedPartition; readonly frame: Told }>;
  /** Partitions that will never be followed any more, and why. */
  readonly lost: Map<FollowedPartition, TidemarkError>;
}

/**
 * The subscription over all leaders. Each leader is followed by calls of its own that send so many bytes ahead and then
 * end, so a caller that stops reading holds no more than that, here and on the way. Where a leader is lost, the
 * partitions go on with the next one, from behind what the caller was given: another gateway could do the same.
 */
export function createSubscribe(context: LogContext) {
  return async function* subscribe(request: SubscribeRequest, call: CallContext): AsyncGenerator<Frame> {
    const states = await beginAt(context, request, call);
    const credit = createSubscribeCredit(request);
    const over = new AbortController();
    const session: Session = { context, call, request, states, mailbox: createMailbox(), lost: new Map() };
    const unwatch = context.table.onChange(session.mailbox.wake);
    const onAbort = () => session.mailbox.wake();
    call.signal.addEventListener("abort", onAbort, { once: true });
    try {
      yield assigned(states);
      while (!credit.isSpent()) {
        if (call.signal.aborted) throw stopped(call);
        leaveOldLeaders(session);
        yield* startFollowing(session, over.signal, credit.left().records);
        yield* troubles(session);
        const cancel = wakeInTime(session);
        const told = await session.mailbox.take();
        cancel?.();
        if (told === undefined) continue;
        const frame = withinCredit(told.frame, credit);
        yield { frame };
        if (frame.case === "data") credit.take(frame.value);
      }
    } finally {
      call.signal.removeEventListener("abort", onAbort);
      unwatch();
      session.mailbox.close();
      over.abort();
    }
  };
}

/** Follows every partition that nobody follows and whose time has come, each at its leader. Tells where that is another one. */
function* startFollowing(session: Session, signal: AbortSignal, recordsLeft: number): Generator<Frame> {
  const { context, states, request, call, mailbox } = session;
  const nowMs = context.runtime.clock.monotonicMs();
  const groups = new Map<string, FollowedPartition[]>();
  for (const state of states) {
    if (state.following !== undefined || session.lost.has(state)) continue;
    const route = context.table.route(state.partition);
    const isNewer = isNewerRoute(state, route);
    if (state.failing !== undefined && state.failing.retryAtMs > nowMs && !isNewer) continue;
    if (route === undefined) {
      fail(session, state, withoutLeader(session, state));
      continue;
    }
    if (state.routedEpoch !== undefined && isNewer) yield leaderChanged(state, route);
    state.routedEpoch = route.leaderEpoch;
    const group = groups.get(route.endpoint);
    if (group === undefined) groups.set(route.endpoint, [state]);
    else group.push(state);
  }
  for (const [endpoint, group] of groups) {
    const following = new AbortController();
    for (const state of group) state.following = following;
    const topicId = group[0]?.partition.topicId ?? "";
    const creditRecords = BigInt(request.format === Format.BATCHES ? 0 : recordsLeft);
    followLeader(context.leaders.client(endpoint, "fetch"), group, {
      request: { topic: request.topic, topicId, format: request.format, maxBytes: request.maxBytes, creditRecords },
      options: { ...passOn(call), signal: AbortSignal.any([call.signal, signal, following.signal]) },
      listener: {
        tell: (state, frame) => mailbox.give({ state, frame }),
        failed: (state, error) => fail(session, state, error),
      },
    })
      .finally(() => {
        for (const state of group) if (state.following === following) state.following = undefined;
        mailbox.wake();
      })
      .catch(reportDefect);
  }
}

/** A leader that was deposed may be silent for long: it is not waited for once another one is known. */
function leaveOldLeaders({ context, states }: Session): void {
  for (const state of states) {
    if (isNewerRoute(state, context.table.route(state.partition))) state.following?.abort();
  }
}

function isNewerRoute({ routedEpoch }: FollowedPartition, route: Route | undefined): boolean {
  return route !== undefined && (routedEpoch ?? -1) < route.leaderEpoch;
}

/** Why there is no leader: none is elected yet, or the topic is gone. */
function withoutLeader({ context, request }: Session, { partition }: FollowedPartition): TidemarkError {
  try {
    context.table.topic(request.topic, partition.topicId);
    return context.table.noRoute(partition);
  } catch (error) {
    if (error instanceof TidemarkError) return lasting(error);
    throw error;
  }
}

/** A topic that was there and is not any more does not come back. */
function lasting({ reason, message, fields }: TidemarkError): TidemarkError {
  return new TidemarkError({ reason, message, retriable: false, ...fields });
}

/** Several leaders may have sent what the credit has room for once. */
function withinCredit(frame: Told, credit: SubscribeCredit): Told {
  if (frame.case !== "data") return frame;
  return { case: "data", value: keepRecords(frame.value, credit.left().records) };
}

/** Notes what a partition failed with; what may pass is tried again. */
function fail({ context, lost, mailbox }: Session, state: FollowedPartition, error: TidemarkError): void {
  const { clock, random } = context.runtime;
  state.following = undefined;
  mailbox.wake();
  context.table.learn(state.partition, error.fields.leader);
  if (!error.retriable) {
    lost.set(state, error);
    return;
  }
  const nowMs = clock.monotonicMs();
  const failures = state.failing?.failures ?? 0;
  state.failing = {
    error,
    failures: failures + 1,
    sinceMs: state.failing?.sinceMs ?? nowMs,
    retryAtMs: nowMs + Math.max(backoffMs(failures, random), error.fields.retryAfterMs ?? 0),
    isTold: state.failing?.isTold ?? false,
  };
}

/** What fails for good, once, and what fails for long, once as well. Throws where nothing is left to follow. */
function* troubles({ context, states, lost, call }: Session): Generator<Frame> {
  const nowMs = context.runtime.clock.monotonicMs();
  const last = [...lost.values()].at(-1);
  const isOver = states.length > 0 && states.every((state) => lost.has(state));
  for (const [state, error] of lost) {
    if (isOver && states.length === 1) break;
    if (state.failing?.isTold === true) continue;
    state.failing = { error, failures: 1, sinceMs: nowMs, retryAtMs: Number.POSITIVE_INFINITY, isTold: true };
    yield failed(state, error);
  }
  if (isOver && last !== undefined) throw asCallerSees(last, call);
  for (const state of states) {
    const { failing } = state;
    if (failing === undefined || failing.isTold || nowMs - failing.sinceMs < tellAfterMs) continue;
    failing.isTold = true;
    yield failed(state, failing.error);
  }
}

/** Wakes when a partition that failed is to be tried again. */
function wakeInTime({ context, states, mailbox }: Session): Cancel | undefined {
  const times = states.flatMap(({ failing, following }) =>
    failing === undefined || following !== undefined ? [] : [failing.retryAtMs],
  );
  const atMs = Math.min(...times);
  if (!Number.isFinite(atMs)) return undefined;
  const { clock, scheduler } = context.runtime;
  return scheduler.after(Math.max(0, atMs - clock.monotonicMs()), mailbox.wake);
}

function assigned(states: readonly FollowedPartition[]): Frame {
  const partitions = states.map(({ partition, offset }) => ({
    partition: partition.partition,
    start: { case: "offset" as const, value: offset },
  }));
  return { frame: { case: "assigned", value: { partitions } } };
}

function leaderChanged({ partition }: FollowedPartition, leader: Route): Frame {
  return { frame: { case: "leaderChanged", value: { partition: partition.partition, leader } } };
}

function failed({ partition: { partition } }: FollowedPartition, error: TidemarkError): Frame {
  return { frame: { case: "data", value: { partition, error: toErrorDetail(error), message: error.message } } };
}

function stopped({ signal }: CallContext): unknown {
  const reason: unknown = signal.reason;
  return reason instanceof TidemarkError ? reason : new Error("The subscription was cancelled", { cause: reason });
}

/** An error that nobody can answer for ends the process. */
function reportDefect(error: unknown): void {
  throw error instanceof Error ? error : new Error("A leader could not be followed", { cause: error });
}
