import { status } from "@grpc/grpc-js";
import { Reason } from "@tidemark/proto/common/v1";
import { type Health, HealthCheckResponse_ServingStatus as ServingStatus } from "@tidemark/proto/grpc/health/v1";
import { createDeferred } from "@tidemark/runtime";
import { TidemarkError } from "../errors/tidemark-error.ts";
import type { ServiceImpl } from "./service-impl.ts";

/** What the standard health service tells: per service, and overall under the empty name. */
export interface HealthState {
  /** Unknown services are added. Watchers are told of changes. */
  readonly setServing: (service: string, serving: boolean) => void;
  /** Every service, the overall one too, stops serving. */
  stopServing(): void;
  readonly implementation: ServiceImpl<typeof Health>;
}

/** Everything serves at first: the overall name and each of `services`. */
export function createHealth(services: Iterable<string>): HealthState {
  const states = new Map<string, ServingStatus>(["", ...services].map((name) => [name, ServingStatus.SERVING]));
  let changed = createDeferred();

  const set = (service: string, next: ServingStatus) => {
    if (states.get(service) === next) return;
    states.set(service, next);
    const before = changed;
    changed = createDeferred();
    before.resolve();
  };

  return {
    setServing: (service, serving) => set(service, serving ? ServingStatus.SERVING : ServingStatus.NOT_SERVING),
    stopServing() {
      for (const service of states.keys()) set(service, ServingStatus.NOT_SERVING);
    },
    implementation: {
      check({ service }) {
        const known = states.get(service);
        if (known !== undefined) return { status: known };
        throw new TidemarkError({
          reason: Reason.UNSUPPORTED,
          message: `This process has no service "${service}".`,
          // As the health protocol says.
          grpcStatus: status.NOT_FOUND,
        });
      },
      async *watch({ service }, { signal }) {
        const aborted = createDeferred();
        signal.addEventListener("abort", () => aborted.resolve(), { once: true });
        let told: ServingStatus | undefined;
        for (;;) {
          const change = changed.promise;
          const current = states.get(service) ?? ServingStatus.SERVICE_UNKNOWN;
          if (current !== told) yield { status: current };
          told = current;
          if (signal.aborted) return;
          await Promise.race([change, aborted.promise]);
        }
      },
    },
  };
}
