import type { status } from "@grpc/grpc-js";
import type { Clock } from "@tidemark/runtime";
import type { TidemarkError } from "../errors/tidemark-error.ts";
import type { CallObserver, ObservedCall } from "./call-observer.ts";

/** Counts what passes in a call, for its observer. */
export interface CallTally {
  received(bytes: number): void;
  sent(bytes: number): void;
  end(code: status, error: TidemarkError | undefined): void;
}

const nobody: CallTally = { received: () => undefined, sent: () => undefined, end: () => undefined };

export function createCallTally(observer: CallObserver | undefined, clock: Clock, call: ObservedCall): CallTally {
  const onEnd = observer?.(call);
  if (onEnd === undefined) return nobody;
  const startedAt = clock.monotonicMs();
  let messagesReceived = 0;
  let messagesSent = 0;
  let bytesReceived = 0;
  let bytesSent = 0;
  return {
    received(bytes) {
      messagesReceived += 1;
      bytesReceived += bytes;
    },
    sent(bytes) {
      messagesSent += 1;
      bytesSent += bytes;
    },
    end(code, error) {
      const durationMs = clock.monotonicMs() - startedAt;
      onEnd({ status: code, error, durationMs, messagesReceived, messagesSent, bytesReceived, bytesSent });
    },
  };
}
