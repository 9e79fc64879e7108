import type { Runtime } from "@tidemark/runtime";
import type { ConsensusCluster } from "../contract/cluster.ts";
import type { EventSink } from "../events.ts";
import { createStore } from "../store/store.ts";
import { createInProcessCluster } from "./in-process-cluster.ts";
import { createMemoryHome } from "./memory-journal.ts";

/** The in-memory twin of every backend, with the same faults: for tests and simulations. */
export function createConsensusTwin(options: {
  readonly runtime: Runtime;
  /** What `until` does between two looks. Under manual time: moves it on. Defaults to a turn of the event loop. */
  readonly turn?: () => Promise<void>;
  /** Defaults to nobody who listens. */
  readonly onEvent?: EventSink;
}): Promise<ConsensusCluster> {
  const { runtime, onEvent = () => {} } = options;
  const home = createMemoryHome();
  return createInProcessCluster({
    runtime,
    turn: options.turn,
    onEvent,
    openStore: async () => createStore({ ...home.open(), clock: runtime.clock, onEvent }),
    dropUnflushed: () => {},
  });
}
