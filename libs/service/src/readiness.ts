import type { RpcServer } from "@tidemark/rpc";

/**
 * Whether a service does by now what it is there for. Its health service says so under the overall name, which is what a
 * platform's readiness probe asks; the single services serve as long as they answer.
 */
export interface Readiness {
  readonly isReady: boolean;
  set(isReady: boolean): void;
  /** The service stops: it is never ready again, whatever is found out later. */
  end(): void;
}

/** Not ready at first. To be made before the server starts, so that nobody is told otherwise. */
export function createReadiness(server: Pick<RpcServer, "setServing">): Readiness {
  let isReady = false;
  let hasEnded = false;
  const set = (next: boolean) => {
    isReady = next && !hasEnded;
    server.setServing("", isReady);
  };
  set(false);
  return {
    get isReady() {
      return isReady;
    },
    set,
    end() {
      hasEnded = true;
      set(false);
    },
  };
}
