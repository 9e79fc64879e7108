/**
 * From a controller's events to the traces of elections: the only place that makes spans of them. Every election is
 * recorded, whatever the sampling says; where spans go nowhere nothing is made.
 */
import type { BrokerId, ControllerEpoch } from "@tidemark/ids";
import type { ElectionEvent } from "@tidemark/metadata";
import type { Cancel, Runtime } from "@tidemark/runtime";
import { formatTraceparent, type TraceContext, type Tracer } from "@tidemark/telemetry";
import type { ControllerEvent } from "../events/controller-events.ts";
import type { CommitContext } from "./commit-context.ts";
import { type ElectionTrace, electionsOf, type LastSeen, startElectionTrace } from "./election-trace.ts";

/** Where the spans hang of what brokers do about an election. */
export interface ElectionTraces {
  /** W3C traceparent of a partition's span, while its election is being told. Undefined where nothing is recorded. */
  traceparentOf(election: Pick<ElectionEvent, "topicId" | "partition" | "leaderEpoch">): string | undefined;
}

export interface ElectionTracer extends ElectionTraces {
  onEvent(event: ControllerEvent): void;
  /** The election that is being committed, or one partition's part in it. Undefined while none is. */
  committing(of?: ElectionEvent): TraceContext | undefined;
}

export interface ElectionTracerOptions {
  readonly tracer: Tracer;
  readonly runtime: Pick<Runtime, "clock" | "scheduler">;
  /** Name of the consensus backend. */
  readonly backend: string;
  /** Told where hangs what the backend does. */
  readonly commit: CommitContext;
  /** Brokers that have a session. */
  readonly brokers: () => readonly BrokerId[];
}

/** A broker that does not read keeps an election's spans open for so long. */
const publishWaitMs = 5000;

export function createElectionTracer(options: ElectionTracerOptions): ElectionTracer {
  const { tracer, runtime, commit } = options;
  const nowMs = () => runtime.clock.monotonicMs();
  /** Of each partition's part in what is being told: there may be thousands in one election. */
  const parts = new Map<string, { readonly context: TraceContext; readonly traceparent: string }>();
  const sightings = createSightings(nowMs);
  /** What the commands commit, of which there is one at a time. */
  let committing: ElectionTrace | undefined;
  const told = new Map<ElectionTrace, Cancel>();
  /** The latest term that ended: brokers hear nothing more in its name. */
  let deposed: ControllerEpoch | undefined;

  const begin = (event: Extract<ControllerEvent, { kind: "committing" }>) => {
    if (electionsOf(event.events).length === 0) return;
    const onEnd = () => {
      for (const { event: election } of trace.partitions) parts.delete(idOf(election));
      told.get(trace)?.();
      told.delete(trace);
    };
    const trace = startElectionTrace(event, {
      tracer,
      nowMs,
      backend: options.backend,
      lastSeen: (brokerId) => sightings.of(brokerId),
      onEnd,
    });
    for (const { event: election, span } of trace.partitions) {
      parts.set(idOf(election), { context: span.context, traceparent: formatTraceparent(span.context) });
    }
    committing = trace;
  };
  const finish = (event: Extract<ControllerEvent, { kind: "decided" }>) => {
    const trace = committing;
    committing = undefined;
    for (const each of event.events) if (each.kind === "sessionEnded") sightings.forget(each.brokerId);
    if (trace === undefined) return;
    told.set(
      trace,
      runtime.scheduler.after(publishWaitMs, () => trace.giveUp("UNAVAILABLE")),
    );
    trace.committed(event.revision, options.brokers());
    if (event.epoch === deposed) trace.giveUp("NOT_CONTROLLER");
  };
  const onEvent = (event: ControllerEvent) => {
    switch (event.kind) {
      case "connectionLost":
        return sightings.connectionLost(event.brokerId);
      case "sessionOver":
        return sightings.sessionOver(event);
      case "committing":
        return begin(event);
      case "batchCommitting":
        commit.parent = committing?.batchCommitting(event);
        return;
      case "batchCommitted":
        commit.parent = undefined;
        return committing?.batchCommitted(event);
      case "decided":
        return finish(event);
      case "commandFailed":
        commit.parent = undefined;
        committing?.fail(event.reason);
        committing = undefined;
        return;
      case "deactivated":
        deposed = event.epoch;
        // Who was not told by this controller learns it from another one, or has learnt it already.
        for (const trace of told.keys()) trace.giveUp("NOT_CONTROLLER");
        return;
      case "published":
        for (const trace of committing === undefined ? told.keys() : [committing, ...told.keys()]) {
          trace.published(event.brokerId, event.revision);
        }
        return;
      default:
        return;
    }
  };
  return {
    onEvent: tracer.enabled ? onEvent : () => undefined,
    committing(of) {
      if (committing === undefined || of === undefined) return committing?.context;
      return parts.get(idOf(of))?.context;
    },
    traceparentOf: (election) => parts.get(idOf(election))?.traceparent,
  };
}

/** When brokers that are being lost were last there. */
function createSightings(nowMs: () => number) {
  const lastSeen = new Map<BrokerId, LastSeen>();
  /** When connections were lost of brokers that may yet come back. */
  const lostMs = new Map<BrokerId, number>();
  return {
    of: (brokerId: BrokerId) => lastSeen.get(brokerId),
    connectionLost(brokerId: BrokerId) {
      lostMs.set(brokerId, nowMs());
    },
    sessionOver({ brokerId, cause, silentMs }: Extract<ControllerEvent, { kind: "sessionOver" }>) {
      const lastHeardMs = nowMs() - silentMs;
      const lost = cause === "connection lost" ? lostMs.get(brokerId) : undefined;
      lastSeen.set(brokerId, { lastHeardMs, lostMs: lost ?? lastHeardMs });
    },
    forget(brokerId: BrokerId) {
      lastSeen.delete(brokerId);
      lostMs.delete(brokerId);
    },
  };
}

function idOf({ topicId, partition, leaderEpoch }: Pick<ElectionEvent, "topicId" | "partition" | "leaderEpoch">) {
  return `${topicId}/${partition}/${leaderEpoch}`;
}
