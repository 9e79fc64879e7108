import { Reason } from "@tidemark/proto/common/v1";
import type { InitProducerRequest, InitProducerResponse } from "@tidemark/proto/log/v1";
import { type CallContext, TidemarkError } from "@tidemark/rpc";
import { pick } from "@tidemark/runtime";
import { clientEndpoint } from "../routing/route-table.ts";
import { type LogContext, passOn, readPauses } from "./context.ts";

/** Any broker gives out producer ids: one that cannot now is left for another. An id that nobody uses does no harm. */
export function createInitProducer(context: LogContext) {
  const { table, leaders, runtime } = context;

  const anyBroker = (): string => {
    const endpoints = [...table.image.sessions.values()].flatMap((session) => clientEndpoint(session) ?? []);
    const endpoint = pick(runtime.random, endpoints);
    if (endpoint !== undefined) return endpoint;
    throw new TidemarkError({ reason: Reason.UNAVAILABLE, message: "No broker is registered now. Retry in a moment." });
  };

  return async (request: InitProducerRequest, call: CallContext): Promise<InitProducerResponse> => {
    const pauses = readPauses(context, call);
    for (;;) {
      try {
        return await leaders.client(anyBroker(), "produce").initProducer(request, passOn(call));
      } catch (error) {
        if (!(error instanceof TidemarkError) || !error.retriable || !(await pauses.next([], error))) throw error;
      }
    }
  };
}
