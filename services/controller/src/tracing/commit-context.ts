import type { TraceContext } from "@tidemark/telemetry";

/** What a backend is committing for an election, while it does: its own spans hang there, and are recorded always. */
export interface CommitContext {
  /** Undefined: what is being committed belongs to no election. */
  parent: TraceContext | undefined;
}

export function createCommitContext(): CommitContext {
  return { parent: undefined };
}
