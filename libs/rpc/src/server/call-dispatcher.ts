import { createBag } from "@tidemark/runtime";
import { toGrpcStatus } from "../errors/grpc-status.ts";
import type { TidemarkError } from "../errors/tidemark-error.ts";
import type { Dispatch } from "./grpc-wire.ts";
import type { MethodSpec } from "./method-spec.ts";
import { unsupported } from "./raw-handlers.ts";
import type { ServedService } from "./served-service.ts";
import { type ActiveCall, type ServerCallEnvironment, startServerCall } from "./server-call.ts";

/** Sends calls to their methods and knows which of them run. */
export interface CallDispatcher {
  readonly dispatch: Dispatch;
  activeCalls(): number;
  /** Refuses new calls with `error` and tells the long-lived ones that run. */
  stop(error: TidemarkError): void;
  /** Ends every call that still runs. */
  force(error: TidemarkError): void;
}

export function createCallDispatcher(
  services: readonly ServedService[],
  environment: ServerCallEnvironment,
): CallDispatcher {
  const specs = new Map<string, MethodSpec>();
  for (const service of services) {
    for (const [path, spec] of service.specs(environment.onDefect)) specs.set(path, spec);
  }
  const active = createBag<ActiveCall>();
  let refusal: TidemarkError | undefined;

  return {
    activeCalls: () => active.size(),
    dispatch(path, wire) {
      const spec = specs.get(path);
      const error = refusal ?? (spec === undefined ? unsupported(path.slice(1)) : undefined);
      if (spec === undefined || error !== undefined) {
        wire.start({ onMessage: () => undefined, onHalfClose: () => undefined, onClose: () => undefined });
        if (error !== undefined) wire.sendStatus(toGrpcStatus(error));
        return;
      }
      const place = { isOver: false, leave: () => {} };
      const call = startServerCall(wire, spec, environment, () => {
        place.isOver = true;
        place.leave();
      });
      if (!place.isOver) place.leave = active.add(call);
    },
    stop(error) {
      refusal = error;
      for (const call of active.items()) if (call.longLived) call.stop(error);
    },
    force(error) {
      for (const call of active.items()) call.force(error);
    },
  };
}
