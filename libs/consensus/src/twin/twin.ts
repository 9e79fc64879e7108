import type { Runtime } from "@tidemark/runtime";
import type { ConsensusCluster } from "../contract/cluster.ts";
import type { EventSink } from "../events.ts";
import { createStore } from "../store/store.ts";
import { createInProcessCluster } from "./in-process-cluster.ts";
import { createMemoryHome } from "./memory-journal.ts";

/** The in-memory twin of every backend, with the same faults: for tests and simulations. */
export function createConsensusTwin(options: {
  readonly runtime: Runtime;
  /** Defaults to nobody who listens. */
  readonly onEvent?: EventSink;
}): Promise<ConsensusCluster> {
  const { runtime, onEvent = () => {} } = options;
  const home = createMemoryHome();
  return createInProcessCluster({
    runtime,
    onEvent,
    openStore: async () => createStore({ ...home.open(), clock: runtime.clock, onEvent }),
    dropUnflushed: () => {},
  });
}
