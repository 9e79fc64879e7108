import type { BrokerSession, Endpoint } from "@tidemark/metadata";
import type { Probe, ProbeResult } from "@tidemark/rpc";
import type { Clock, Scheduler } from "@tidemark/runtime";
import type { ControllerEvent } from "../events/controller-events.ts";
import { createLossRecord } from "./loss-record.ts";
import type { TrackedSession } from "./tracked-session.ts";

/** From lost connections to early verdicts (D10). */
export interface ConnectionWatch {
  /** A session began: its endpoint is tried once, so that a later refusal means something. */
  registered(each: TrackedSession): void;
  /** Tries the endpoint again where it was not reached yet. */
  connected(each: TrackedSession): void;
  /** The last heartbeat stream ended. */
  lost(each: TrackedSession): void;
  /** This controller became the active one: who is not connected after the grace is probed. */
  begin(sessions: Iterable<TrackedSession>): void;
  end(): void;
}

export interface ConnectionWatchOptions {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly graceMs: number;
  readonly probe: Probe;
  /** Whether the session still stands as it is and no verdict was taken. */
  readonly isOpen: (each: TrackedSession) => boolean;
  /** Count of all sessions. */
  readonly sessions: () => number;
  readonly onGone: (each: TrackedSession) => void;
  readonly onEvent: (event: ControllerEvent) => void;
}

type Verdict = Extract<ControllerEvent, { kind: "probed" }>["verdict"];

/** What is remembered of incarnations: they come back soon or not at all. */
const incarnationsMax = 1000;
const probeTimeoutMinMs = 100;

export function createConnectionWatch(options: ConnectionWatchOptions): ConnectionWatch {
  const { clock, scheduler, graceMs } = options;
  const losses = createLossRecord(graceMs);
  /** Incarnations found gone, and those of them that were alive after all: only silence ends their sessions. */
  const judged = new Set<string>();
  const misjudged = new Set<string>();
  /** Counts the terms; what is pending of an older one does nothing. 0: none. */
  let term = 0;
  let terms = 0;

  const verdictOf = (
    each: TrackedSession,
    seen: { readonly result: ProbeResult; readonly lostMs: number },
  ): Verdict => {
    if (seen.result !== "refused" || isBack(each, seen.lostMs)) return "waits";
    if (!each.wasReached) return "never reached before";
    if (misjudged.has(each.session.incarnationId)) return "came back before";
    if (losses.areSuspicious(seen.lostMs, options.sessions())) return "suspects itself";
    return "ended";
  };
  const judge = (each: TrackedSession, seen: { readonly result: ProbeResult; readonly lostMs: number }) => {
    const verdict = verdictOf(each, seen);
    const { brokerId, incarnationId } = each.session;
    options.onEvent({ kind: "probed", brokerId, result: seen.result, verdict });
    if (verdict !== "ended") return;
    remember(judged, incarnationId);
    options.onGone(each);
  };
  /** The outcome is told after the input was read that came meanwhile. */
  const probe = (each: TrackedSession, then: (result: ProbeResult) => void) => {
    const endpoint = endpointToProbe(each.session);
    if (endpoint === undefined) return;
    const later = (result: ProbeResult) => {
      scheduler.afterInput(() => then(result));
    };
    options.probe(endpoint, Math.max(graceMs, probeTimeoutMinMs)).then(later, () => later("unreachable"));
  };
  /** After the grace. A loss is counted when the connection was lost, or else when the port is found to refuse. */
  const afterGrace = (each: TrackedSession, lostMs: number, isCounted: boolean) => {
    const own = term;
    const isOver = () => term !== own || own === 0 || !options.isOpen(each);
    const onResult = (result: ProbeResult) => {
      if (isOver()) return;
      if (!isCounted && result === "refused") losses.add(each.session.brokerId, lostMs);
      judge(each, { result, lostMs });
    };
    scheduler.after(graceMs, () => {
      scheduler.afterInput(() => {
        if (!isOver() && !isBack(each, lostMs)) probe(each, onResult);
      });
    });
  };
  const reach = (each: TrackedSession) =>
    probe(each, (result) => {
      each.wasReached ||= result === "reached";
    });

  return {
    registered(each) {
      if (judged.delete(each.session.incarnationId)) remember(misjudged, each.session.incarnationId);
      reach(each);
    },
    connected(each) {
      if (!each.wasReached) reach(each);
    },
    lost(each) {
      const { brokerId } = each.session;
      const nowMs = clock.monotonicMs();
      options.onEvent({ kind: "connectionLost", brokerId });
      losses.add(brokerId, nowMs);
      afterGrace(each, nowMs, true);
    },
    begin(sessions) {
      terms += 1;
      term = terms;
      losses.clear();
      for (const each of sessions) afterGrace(each, clock.monotonicMs(), false);
    },
    end() {
      term = 0;
    },
  };
}

function isBack(each: TrackedSession, lostMs: number): boolean {
  return each.streams > 0 || each.lastHeardMs > lostMs;
}

/** Peers are reached where they talk to each other. */
function endpointToProbe({ endpoints }: BrokerSession): Endpoint | undefined {
  return endpoints.find((endpoint) => endpoint.listener === "internal") ?? endpoints[0];
}

function remember(incarnations: Set<string>, incarnationId: string): void {
  incarnations.add(incarnationId);
  const [oldest] = incarnations;
  if (incarnations.size > incarnationsMax && oldest !== undefined) incarnations.delete(oldest);
}
