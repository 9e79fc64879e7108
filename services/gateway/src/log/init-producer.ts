import { Reason } from "@tidemark/proto/common/v1";
import type { InitProducerRequest, InitProducerResponse } from "@tidemark/proto/log/v1";
import { type CallContext, TidemarkError } from "@tidemark/rpc";
import { abortWith, type Cancel, createDeferred, pick } from "@tidemark/runtime";
import { clientEndpoint } from "../routing/route-table.ts";
import { type LogContext, passOn, readPauses } from "./context.ts";

/** How long one broker is waited for before another one is asked beside it, in milliseconds. */
const silenceMs = 1000;

/**
 * Any broker gives out producer ids: one that cannot now is left for another, and beside one that says nothing another is
 * asked. An id that nobody uses does no harm.
 */
export function createInitProducer(context: LogContext) {
  const { table, leaders, runtime } = context;

  /** One of the brokers, those in `but` aside. */
  const anyBroker = (but: ReadonlySet<string>): string | undefined => {
    const endpoints = [...table.image.sessions.values()].flatMap((session) => clientEndpoint(session) ?? []);
    return pick(
      runtime.random,
      endpoints.filter((endpoint) => !but.has(endpoint)),
    );
  };

  /**
   * The first answer of the brokers that are asked, one more each time that nothing came for a while. One that cannot answer
   * now ends nothing while others may still: it is asked again in its turn. What will not pass, or what the last one fails
   * with, is the failure of all.
   */
  const askSome = async (request: InitProducerRequest, call: CallContext): Promise<InitProducerResponse> => {
    /** Those whose answer is waited for. */
    const asked = new Set<string>();
    const first = createDeferred<InitProducerResponse>();
    const over = new AbortController();
    const unbind = abortWith(over, call.signal);
    let stopTimer: Cancel | undefined;
    const ask = (endpoint: string) => {
      asked.add(endpoint);
      const client = leaders.client(endpoint, "produce");
      client.initProducer(request, { ...passOn(call), signal: over.signal }).then(first.resolve, (error: unknown) => {
        asked.delete(endpoint);
        if (asked.size > 0 && isPassing(error)) return;
        first.reject(error instanceof Error ? error : new Error("A producer id cannot be had", { cause: error }));
      });
    };
    const askOneMore = () => {
      const endpoint = anyBroker(asked);
      if (endpoint !== undefined) ask(endpoint);
      stopTimer = runtime.scheduler.after(silenceMs, () => {
        // An answer that has come in meanwhile is taken first.
        stopTimer = runtime.scheduler.afterInput(askOneMore);
      });
    };
    try {
      askOneMore();
      if (asked.size > 0) return await first.promise;
      throw new TidemarkError({
        reason: Reason.UNAVAILABLE,
        message: "No broker is registered now. Retry in a moment.",
      });
    } finally {
      stopTimer?.();
      unbind();
      over.abort();
    }
  };

  return async (request: InitProducerRequest, call: CallContext): Promise<InitProducerResponse> => {
    const pauses = readPauses(context, call);
    for (;;) {
      try {
        return await askSome(request, call);
      } catch (error) {
        if (!isPassing(error) || !(await pauses.next([], error))) throw error;
      }
    }
  };
}

function isPassing(error: unknown): error is TidemarkError {
  return error instanceof TidemarkError && error.retriable;
}
