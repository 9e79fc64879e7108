/**
 * A lease of etcd and the belief in it. Belief ends at the time when the last renewal that was answered had been *sent*,
 * plus the time that etcd granted, less a margin, on the monotonic clock: always before etcd could let the lease go (C4).
 * etcd may keep it for longer (after a change of its own leader every lease begins anew); that is no harm.
 */
import type { Cancel, Runtime } from "@tidemark/runtime";
import type { EtcdGuards } from "./guards.ts";
import type { Member, Rotation } from "./rotation.ts";
import { beliefMarginMs } from "./settings.ts";
import { EtcdError, type LeaseGrant, type LeaseKeepAlive } from "./stubs.ts";

export interface Lease {
  readonly id: string;
  isBelieved(): boolean;
  /** Ends the belief without a word to `onLost`. The lease itself is not revoked. */
  end(): void;
}

export interface LeaseOptions {
  readonly grant: LeaseGrant;
  /** When the grant was asked for, on the monotonic clock. */
  readonly askedAtMs: number;
  readonly rotation: Rotation;
  readonly runtime: Runtime;
  readonly renewalMs: number;
  /** How long a renewal may be on its way before another member is tried. At most `renewalMs`. */
  readonly timeoutMs: number;
  readonly guards: EtcdGuards;
  /** Once, when belief ended. */
  readonly onLost: (cause: string) => void;
}

interface LeaseState {
  readonly options: LeaseOptions;
  believedUntilMs: number;
  /** When the renewal was sent that is on its way on the open stream. One at a time: an answer names none. */
  sentAtMs: number | undefined;
  /** The next renewal was due while one was on its way. */
  isDue: boolean;
  stream: { readonly member: Member; readonly keepAlive: LeaseKeepAlive } | undefined;
  isOver: boolean;
  readonly ending: AbortController;
  cancelExpiry: Cancel;
  cancelRenewal: Cancel;
  cancelAnswer: Cancel;
}

export function keepLease(options: LeaseOptions): Lease {
  const nothing = () => {};
  const state: LeaseState = {
    options,
    believedUntilMs: 0,
    sentAtMs: undefined,
    isDue: false,
    stream: undefined,
    isOver: false,
    ending: new AbortController(),
    cancelExpiry: nothing,
    cancelRenewal: nothing,
    cancelAnswer: nothing,
  };
  believe(state, options.askedAtMs, options.grant.ttlSeconds);
  if (!state.isOver) openStream(state);
  return {
    id: options.grant.id,
    isBelieved: () => !state.isOver,
    end: () => end(state),
  };
}

function believe(state: LeaseState, sentAtMs: number, ttlSeconds: number): void {
  const { clock } = state.options.runtime;
  const ttlMs = ttlSeconds * 1000;
  const countsFromMs = state.options.guards.believeFromSending ? sentAtMs : clock.monotonicMs();
  const margin = state.options.guards.believeFromSending ? beliefMarginMs(ttlMs) : 0;
  state.believedUntilMs = Math.max(state.believedUntilMs, countsFromMs + ttlMs - margin);
  awaitExpiry(state);
}

/** A stalled process runs timers before it reads: the verdict is taken after what arrived was read. */
function awaitExpiry(state: LeaseState): void {
  const { clock, scheduler } = state.options.runtime;
  const leftMs = () => state.believedUntilMs - clock.monotonicMs();
  state.cancelExpiry();
  // A timer may be early by a part of a millisecond: it is set for a whole one at the least.
  state.cancelExpiry = scheduler.after(Math.max(1, leftMs()), () => {
    state.cancelExpiry = scheduler.afterInput(() => {
      if (leftMs() > 0) awaitExpiry(state);
      else lose(state, "no renewal was answered in time");
    });
  });
}

function openStream(state: LeaseState): void {
  const { rotation } = state.options;
  rotation.member(state.ending.signal).then(
    (member) => {
      if (state.isOver) return;
      const keepAlive = member.stubs.leaseKeepAlive(state.options.grant.id, {
        onMessage: ({ ttlSeconds }) => onAnswer(state, member, ttlSeconds),
        onEnd: (error) => onStreamEnd(state, member, error),
      });
      state.stream = { member, keepAlive };
      renew(state);
    },
    () => {},
  );
}

function renew(state: LeaseState): void {
  const { runtime, renewalMs, timeoutMs } = state.options;
  const { stream } = state;
  if (state.isOver || stream === undefined) return;
  // A process that stood still gets here before it reads the answer, which would be taken for that of this one.
  state.isDue = state.sentAtMs !== undefined;
  if (state.isDue) return;
  state.sentAtMs = runtime.clock.monotonicMs();
  state.cancelAnswer = runtime.scheduler.after(timeoutMs, () => {
    state.cancelAnswer = runtime.scheduler.afterInput(() => {
      onStreamEnd(state, stream.member, new EtcdError("LOST", `no renewal was answered within ${timeoutMs} ms`));
    });
  });
  stream.keepAlive.send();
  state.cancelRenewal = runtime.scheduler.after(renewalMs, () => renew(state));
}

function onAnswer(state: LeaseState, member: Member, ttlSeconds: number): void {
  const { sentAtMs } = state;
  if (state.isOver || state.stream?.member !== member || sentAtMs === undefined) return;
  state.sentAtMs = undefined;
  state.cancelAnswer();
  state.options.rotation.succeeded(member);
  if (ttlSeconds <= 0) lose(state, "etcd says that the lease is gone");
  else believe(state, sentAtMs, ttlSeconds);
  if (state.isDue) renew(state);
}

function onStreamEnd(state: LeaseState, member: Member, error: EtcdError): void {
  if (state.isOver || state.stream?.member !== member) return;
  closeStream(state);
  if (error.code === "LEASE_NOT_FOUND") {
    lose(state, "etcd says that the lease is gone");
    return;
  }
  state.options.rotation.failed(member, error.message);
  openStream(state);
}

function closeStream(state: LeaseState): void {
  state.cancelRenewal();
  state.cancelAnswer();
  state.stream?.keepAlive.close();
  state.stream = undefined;
  state.sentAtMs = undefined;
  state.isDue = false;
}

function lose(state: LeaseState, cause: string): void {
  if (state.isOver) return;
  end(state);
  state.options.onLost(cause);
}

function end(state: LeaseState): void {
  state.isOver = true;
  state.ending.abort(new Error("the lease ended"));
  state.cancelExpiry();
  closeStream(state);
}
