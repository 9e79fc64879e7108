/** From what happens between a controller and etcd to log lines and spans: the only place that makes them of it. */
import type { ConsensusEvent } from "@tidemark/consensus";
import type { EtcdEvent } from "@tidemark/consensus-etcd";
import type { Clock } from "@tidemark/runtime";
import {
  attributeNames,
  type Logger,
  type Span,
  spanNames,
  type Telemetry,
  type TraceContext,
  type Tracer,
} from "@tidemark/telemetry";
import type { BackendTraces } from "../backend.ts";
import type { Campaign } from "./campaigns.ts";

type Event = ConsensusEvent | EtcdEvent;

/**
 * Returns what to call with each event. Watch gaps, campaigns that were not won, and what is committed for an election are
 * always recorded, other transactions as any other work; the campaign that was won belongs to the controller election.
 */
export function createEtcdReporter(
  { logger, tracer }: Pick<Telemetry, "logger" | "tracer">,
  clock: Clock,
  traces: BackendTraces,
): (event: Event) => void {
  const gaps = createGaps(tracer);
  return (event) => {
    // What is interrupted or failed is what is under way; the gap of a watch begins by its event.
    const gap = tracer.enabled ? gaps.take(event) : undefined;
    logEvent(logger, event, gap ?? traces.underWay());
    switch (event.kind) {
      case "transaction":
        if (traces.commit.parent !== undefined || tracer.samples(undefined))
          recordTransaction(tracer, event, { clock, parent: traces.commit.parent });
        return;
      case "claimed":
        if (event.outcome === "won") traces.campaigns.won(campaignOf(event, clock));
        else tracer.record({ name: spanNames.campaign, parent: undefined, ...campaignOf(event, clock) });
        return;
      default:
        return;
    }
  };
}

const outcomes = { committed: "APPLIED", conflict: "NOT_APPLIED", LOST: "UNKNOWN" } as const;

function recordTransaction(
  tracer: Tracer,
  event: Extract<Event, { kind: "transaction" }>,
  { clock, parent }: { readonly clock: Clock; readonly parent: TraceContext | undefined },
): void {
  const { outcome, revision, ms } = event;
  const isAnswer = outcome === "committed" || outcome === "conflict";
  tracer.record({
    name: spanNames.etcdTransaction,
    kind: "client",
    parent,
    startMs: clock.monotonicMs() - ms,
    attributes: {
      [attributeNames.backend]: "etcd",
      [attributeNames.outcome]: isAnswer || outcome === "LOST" ? outcomes[outcome] : "NOT_APPLIED",
      ...(revision === undefined ? {} : { [attributeNames.revision]: revision }),
    },
    ...(isAnswer ? {} : { error: outcome }),
  });
}

function campaignOf(event: Extract<Event, { kind: "claimed" }>, clock: Clock): Campaign {
  const endMs = clock.monotonicMs();
  return {
    startMs: endMs - event.ms,
    endMs,
    attributes: {
      [attributeNames.backend]: "etcd",
      [attributeNames.controllerEpoch]: event.epoch,
      [attributeNames.outcome]: event.outcome,
    },
  };
}

/** The time in which no watch stood. */
function createGaps(tracer: Tracer) {
  let gap: Span | undefined;
  const begin = (cause: string, next: bigint): Span =>
    tracer.start({
      name: spanNames.etcdWatchGap,
      parent: undefined,
      attributes: {
        [attributeNames.backend]: "etcd",
        [attributeNames.cause]: cause,
        [attributeNames.revision]: next,
      },
    });
  return {
    /** Returns the gap that the event belongs to. */
    take(event: Event): TraceContext | undefined {
      switch (event.kind) {
        case "watchInterrupted":
          gap ??= begin(event.cause, event.next);
          return gap.context;
        case "watchCompacted":
          gap ??= begin(`compacted up to ${event.compacted}`, event.wanted);
          return gap.context;
        case "watchStarted":
          gap?.set({ [attributeNames.serverAddress]: event.endpoint });
          gap?.end();
          gap = undefined;
          return undefined;
        default:
          return undefined;
      }
    },
  };
}

function logEvent(logger: Logger, event: Event, trace: TraceContext | undefined): void {
  const of = trace === undefined ? {} : { trace };
  switch (event.kind) {
    case "memberFailed": {
      const { purpose, endpoint, cause, failures } = event;
      return logger.warn("etcd member failed; another is tried", {
        purpose,
        endpoint,
        why: cause,
        failures,
        ...(purpose === "calls" ? of : {}),
      });
    }
    case "connectFailed":
      return logger.error("etcd lets no session begin", { code: event.code, why: event.message });
    case "leaseLost":
      return logger.warn("lease of etcd lost", { lease: event.lease, why: event.cause, ...of });
    case "leaseNotAsAsked":
      return logger.error("etcd grants another lease than was asked for", {
        askedMs: event.askedMs,
        grantedMs: event.ttlMs,
      });
    case "watchCompacted":
      return logger.warn("etcd's history was compacted; what changed is read anew", {
        wanted: event.wanted,
        compacted: event.compacted,
        ...of,
      });
    case "historyCompacted":
      return logger.debug("etcd's history compacted", { revision: event.revision });
    case "compactionFailed":
      return logger.warn("etcd's history could not be compacted", { why: event.message });
    case "storeRegressed":
      return logger.error("etcd is older than what was seen of it", { seen: event.seen, found: event.found });
    case "leaderGone":
      return logger.warn("the active controller's endpoint refuses; its place is claimed", {
        epoch: event.epoch,
        refusals: event.refusals,
      });
    case "leaderUnreached":
      return logger.warn(
        "the active controller's endpoint refused this one ever since; it stays active while its lease lasts: see that advertised.listeners is right there and nothing blocks the way, or stop it",
        { epoch: event.epoch, endpoint: event.endpoint },
      );
    case "idTaken":
      return logger.error("another living controller has this id", { controller: event.controllerId });
    case "malformed":
      return logger.error("malformed metadata", { key: event.key, why: event.message });
    case "claimImpossible":
      return logger.error("no controller can be elected", { why: event.message });
    default:
      return;
  }
}
