import { Outcome, Reason } from "@tidemark/proto/common/v1";
import type { Cancel, Scheduler } from "@tidemark/runtime";
import { TidemarkError } from "../errors/tidemark-error.ts";
import type { ChannelState } from "./rpc-channel.ts";

/** What waiting for a connection needs of a channel. */
export interface WaitedFor {
  readonly endpoint: string;
  readonly scheduler: Scheduler;
  /** Connects if need be, and returns the state. */
  connect(): ChannelState;
  watchState(onChange: (state: ChannelState) => void): Cancel;
}

/** Waits as `RpcChannel.waitForReady` says. */
export function waitForChannel(channel: WaitedFor, timeoutMs: number, signal?: AbortSignal): Promise<void> {
  const { endpoint } = channel;
  return new Promise((resolve, reject) => {
    const settle = (error?: TidemarkError) => {
      stopWatching();
      stopTimer();
      signal?.removeEventListener("abort", onAbort);
      if (error === undefined) resolve();
      else reject(error);
    };
    const check = () => {
      const now = channel.connect();
      if (now === "ready") settle();
      if (now === "closed") settle(unavailable(`The channel to ${endpoint} is closed.`));
    };
    const onAbort = () => settle(cancelledWait(endpoint, signal?.reason));
    const stopWatching = channel.watchState(check);
    const stopTimer = channel.scheduler.after(timeoutMs, () =>
      settle(unavailable(`No connection to ${endpoint} within ${timeoutMs} ms. Does the process run there?`)),
    );
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
    else check();
  });
}

function unavailable(message: string): TidemarkError {
  return new TidemarkError({ reason: Reason.UNAVAILABLE, message, outcome: Outcome.NOT_APPLIED });
}

function cancelledWait(endpoint: string, cause: unknown): TidemarkError {
  const message = `Waiting for a connection to ${endpoint} was cancelled.`;
  return new TidemarkError({ reason: Reason.CANCELLED, message, outcome: Outcome.NOT_APPLIED, cause });
}
