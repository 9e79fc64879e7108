import type { BrokerId } from "@tidemark/ids";
import type { ProbeResult } from "@tidemark/rpc";
import type { ControllerEvent } from "../events/controller-events.ts";
import { createLossRecord } from "./loss-record.ts";
import type { TrackedSession } from "./tracked-session.ts";

type Verdict = Extract<ControllerEvent, { kind: "probed" }>["verdict"];

/** What a refused port says of a session (D10), and the four reasons for which it says nothing. */
export interface EarlyVerdicts {
  /** A connection was lost, or a port that was never heard in this term refuses. */
  lost(brokerId: BrokerId, atMs: number): void;
  /** A broker connected again: its loss says nothing of this controller's network. */
  connected(brokerId: BrokerId): void;
  /** A session began: an incarnation that was found gone and registers was alive after all. */
  registered(each: TrackedSession): void;
  /** The verdict on a session whose connection was lost at `lostMs`. */
  of(each: TrackedSession, seen: { readonly result: ProbeResult; readonly lostMs: number }): Verdict;
  /** A new term: losses of the last one do not count. */
  begin(): void;
}

/** What is remembered of incarnations: they come back soon or not at all. */
const incarnationsMax = 1000;

export function createEarlyVerdicts(options: {
  readonly graceMs: number;
  /** Count of all sessions. */
  readonly sessions: () => number;
}): EarlyVerdicts {
  const losses = createLossRecord(options.graceMs);
  /** Incarnations found gone, and those of them that were alive after all: only silence ends their sessions. */
  const judged = new Set<string>();
  const misjudged = new Set<string>();
  return {
    lost: (brokerId, atMs) => losses.add(brokerId, atMs),
    connected: (brokerId) => losses.takeBack(brokerId),
    registered({ session: { incarnationId } }) {
      if (judged.delete(incarnationId)) remember(misjudged, incarnationId);
    },
    of(each, { result, lostMs }) {
      const { incarnationId } = each.session;
      if (result !== "refused" || isBack(each, lostMs)) return "waits";
      if (!each.wasReached) return "never reached before";
      if (misjudged.has(incarnationId)) return "came back before";
      if (losses.areSuspicious(lostMs, options.sessions())) return "suspects itself";
      remember(judged, incarnationId);
      return "ended";
    },
    begin: () => losses.clear(),
  };
}

/** Whether a session was renewed, or its broker connected again, since its connection was lost. */
export function isBack(each: TrackedSession, lostMs: number): boolean {
  return each.streams > 0 || each.lastHeardMs > lostMs;
}

function remember(incarnations: Set<string>, incarnationId: string): void {
  incarnations.add(incarnationId);
  const [oldest] = incarnations;
  if (incarnations.size > incarnationsMax && oldest !== undefined) incarnations.delete(oldest);
}
