/** Unary calls to etcd: each within its time, on a member that is thought to answer. */
import { createDeferred, type Runtime } from "@tidemark/runtime";
import type { Rotation } from "./rotation.ts";
import { EtcdError, type EtcdStubs } from "./stubs.ts";

export type Call<Answer> = (stubs: EtcdStubs) => Promise<Answer>;

export interface Calls {
  /** One attempt. Rejects with EtcdError, or the signal's reason while it waits for a member. */
  once<Answer>(call: Call<Answer>, signal: AbortSignal): Promise<Answer>;
  /**
   * For calls that change nothing: on one member behind the other until there is an answer, or the signal is aborted.
   * Rejects with the signal's reason, or with an EtcdError that no other member would change.
   */
  patiently<Answer>(call: Call<Answer>, signal: AbortSignal): Promise<Answer>;
}

export function createCalls(options: {
  readonly rotation: Rotation;
  readonly runtime: Runtime;
  readonly timeoutMs: number;
}): Calls {
  const { rotation, runtime, timeoutMs } = options;

  const calls: Calls = {
    async once(call, signal) {
      const member = await rotation.member(signal);
      try {
        const answer = await within(call(member.stubs), runtime, timeoutMs);
        rotation.succeeded(member);
        return answer;
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error;
        if (error.code === "LOST") rotation.failed(member, error.message);
        else rotation.succeeded(member);
        throw error;
      }
    },
    async patiently(call, signal) {
      for (;;) {
        signal.throwIfAborted();
        try {
          return await calls.once(call, signal);
        } catch (error) {
          if (!(error instanceof EtcdError) || error.code !== "LOST") throw error;
        }
      }
    },
  };
  return calls;
}

/** The answer, or LOST after `timeoutMs`. The verdict is taken after what arrived was read. */
async function within<Answer>(answer: Promise<Answer>, runtime: Runtime, timeoutMs: number): Promise<Answer> {
  const { scheduler } = runtime;
  const late = createDeferred<never>();
  let cancel = scheduler.after(timeoutMs, () => {
    cancel = scheduler.afterInput(() => late.reject(new EtcdError("LOST", `no answer within ${timeoutMs} ms`)));
  });
  try {
    return await Promise.race([answer, late.promise]);
  } finally {
    cancel();
  }
}
