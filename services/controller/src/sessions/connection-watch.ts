import type { BrokerSession, Endpoint } from "@tidemark/metadata";
import type { Probe, ProbeResult } from "@tidemark/rpc";
import type { Clock, Scheduler } from "@tidemark/runtime";
import type { ControllerEvent } from "../events/controller-events.ts";
import { createEarlyVerdicts, isBack } from "./early-verdicts.ts";
import type { TrackedSession } from "./tracked-session.ts";

/** From lost connections to early verdicts (D10). */
export interface ConnectionWatch {
  /** A session began: its endpoint is tried once, so that a later refusal means something. */
  registered(each: TrackedSession): void;
  /** Its loss is taken back; tries the endpoint again where it was not reached yet. */
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

const probeTimeoutMinMs = 100;

export function createConnectionWatch(options: ConnectionWatchOptions): ConnectionWatch {
  const { clock, scheduler, graceMs } = options;
  const verdicts = createEarlyVerdicts({ graceMs, sessions: options.sessions });
  /** Counts the terms; what is pending of an older one does nothing. 0: none. */
  let term = 0;
  let terms = 0;

  const judge = (each: TrackedSession, seen: { readonly result: ProbeResult; readonly lostMs: number }) => {
    const verdict = verdicts.of(each, seen);
    options.onEvent({ kind: "probed", brokerId: each.session.brokerId, result: seen.result, verdict });
    if (verdict === "ended") options.onGone(each);
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
      if (!isCounted && result === "refused") verdicts.lost(each.session.brokerId, lostMs);
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
      verdicts.registered(each);
      reach(each);
    },
    connected(each) {
      verdicts.connected(each.session.brokerId);
      if (!each.wasReached) reach(each);
    },
    lost(each) {
      const { brokerId } = each.session;
      const nowMs = clock.monotonicMs();
      options.onEvent({ kind: "connectionLost", brokerId });
      verdicts.lost(brokerId, nowMs);
      afterGrace(each, nowMs, true);
    },
    begin(sessions) {
      terms += 1;
      term = terms;
      verdicts.begin();
      for (const each of sessions) afterGrace(each, clock.monotonicMs(), false);
    },
    end() {
      term = 0;
    },
  };
}

/** Peers are reached where they talk to each other. */
function endpointToProbe({ endpoints }: BrokerSession): Endpoint | undefined {
  return endpoints.find((endpoint) => endpoint.listener === "internal") ?? endpoints[0];
}
