/**
 * How a standby finds out that the leader's process is gone, before the store can know. It holds a connection to the
 * endpoint that `/controller` names. When that breaks it dials again, and where the endpoint *refuses* every time for as
 * long as the grace, nobody listens there any more. Silence proves nothing, and an answer begins everything anew. Nor does
 * the refusal of an endpoint that this standby never reached in the leader's epoch: it may refuse the standby alone, which
 * would depose one leader after the other. That is told, for somebody to look at.
 *
 * Whoever concludes wrongly does no harm: the claim that follows is guarded like any other, and fences the old leader off.
 */
import type { ControllerEpoch } from "@tidemark/ids";
import { delay, type Runtime } from "@tidemark/runtime";
import type { Leadership } from "../consensus.ts";

/** `reached` until `closed` resolves, whoever closed it. */
export type Dialled =
  | { readonly kind: "reached"; readonly closed: Promise<void>; close(): void }
  | { readonly kind: "refused" | "silent" };

/** Opens a connection to host:port, or says within `timeoutMs` why there is none. Never rejects. */
export type Dial = (endpoint: string, timeoutMs: number) => Promise<Dialled>;

/** Times are milliseconds. */
export interface TakeoverSettings {
  readonly dial: Dial;
  /** For how long the endpoint has to refuse. */
  readonly graceMs: number;
  /** A standby takes over at most once in this time. */
  readonly cooldownMs: number;
}

export interface Takeover {
  /** What this candidate believes now. */
  follow(leadership: Leadership): void;
  end(): void;
}

/** Between two dials, and how long one may take. */
const redialMs = 50;
const dialTimeoutMs = 500;

export function createTakeover(
  settings: TakeoverSettings,
  options: {
    readonly runtime: Runtime;
    /** The leader of this epoch is gone. */
    readonly onGone: (epoch: ControllerEpoch, refusals: number) => void;
    /** The leader of this epoch refused for as long as the cooldown, and was never reached: once for each epoch. */
    readonly onUnreached: (epoch: ControllerEpoch, endpoint: string) => void;
  },
): Takeover {
  const { clock } = options.runtime;
  let watching: { readonly epoch: ControllerEpoch; readonly stop: AbortController } | undefined;
  let lastMs = Number.NEGATIVE_INFINITY;

  const stop = () => {
    watching?.stop.abort(new Error("another leader is followed"));
    watching = undefined;
  };

  const watch = async (epoch: ControllerEpoch, endpoint: string, signal: AbortSignal) => {
    const seen = { isReached: false, onUnreached: () => options.onUnreached(epoch, endpoint) };
    for (;;) {
      const refusals = await refusedThroughout(endpoint, { settings, runtime: options.runtime, signal, seen });
      const leftMs = lastMs + settings.cooldownMs - clock.monotonicMs();
      if (leftMs > 0) {
        await delay(options.runtime.scheduler, leftMs, signal);
        continue;
      }
      lastMs = clock.monotonicMs();
      options.onGone(epoch, refusals);
    }
  };

  return {
    follow(leadership) {
      if (leadership.kind === "following" && watching?.epoch === leadership.epoch) return;
      stop();
      if (leadership.kind !== "following") return;
      const { epoch, endpoint } = leadership;
      const started = { epoch, stop: new AbortController() };
      watching = started;
      watch(epoch, endpoint, started.stop.signal).catch((error: unknown) => {
        if (!started.stop.signal.aborted) throw error;
      });
    },
    end: stop,
  };
}

/**
 * Resolves when the endpoint was reached, now or before (`seen`), and then refused for as long as the grace, with the
 * number of refusals. Rejects with the signal.
 */
async function refusedThroughout(
  endpoint: string,
  {
    settings,
    runtime,
    signal,
    seen,
  }: {
    readonly settings: TakeoverSettings;
    readonly runtime: Runtime;
    readonly signal: AbortSignal;
    readonly seen: { isReached: boolean; readonly onUnreached: () => void };
  },
): Promise<number> {
  const { clock } = runtime;
  const startedMs = clock.monotonicMs();
  let isTold = false;
  let firstMs: number | undefined;
  let refusals = 0;
  for (;;) {
    const dialled = await settings.dial(endpoint, dialTimeoutMs);
    if (dialled.kind === "reached") {
      seen.isReached = true;
      await closedOrAborted(dialled, signal);
    }
    signal.throwIfAborted();
    if (dialled.kind !== "refused" || !seen.isReached) {
      firstMs = undefined;
      refusals = 0;
    } else {
      refusals += 1;
      firstMs ??= clock.monotonicMs();
      if (clock.monotonicMs() - firstMs >= settings.graceMs) return refusals;
    }
    if (!isTold && dialled.kind === "refused" && !seen.isReached) {
      isTold = clock.monotonicMs() - startedMs >= settings.cooldownMs;
      if (isTold) seen.onUnreached();
    }
    await delay(runtime.scheduler, redialMs, signal);
  }
}

async function closedOrAborted(dialled: Dialled & { readonly kind: "reached" }, signal: AbortSignal): Promise<void> {
  const close = () => dialled.close();
  signal.addEventListener("abort", close, { once: true });
  if (signal.aborted) close();
  await dialled.closed;
  signal.removeEventListener("abort", close);
}
