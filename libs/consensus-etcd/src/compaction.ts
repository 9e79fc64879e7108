/**
 * Compaction of etcd's history by the active controller, so that the store does not grow without limit. It concerns
 * everybody who uses that etcd: off where it is shared.
 */
import { type Revision, revision as toRevision } from "@tidemark/ids";
import { delay } from "@tidemark/runtime";
import type { Lease } from "./lease.ts";
import type { LinkParts } from "./link-parts.ts";
import { EtcdError } from "./stubs.ts";

export interface CompactingSession {
  /** Undefined when the session is over. */
  readonly lease: () => Lease | undefined;
  readonly revision: () => Revision;
  readonly signal: AbortSignal;
}

/** Compacts every interval for as long as the session lasts, while its lease holds `/controller`. */
export function keepCompacting(parts: LinkParts, session: CompactingSession): void {
  const { compaction } = parts.settings;
  if (compaction === undefined) return;
  const run = async () => {
    for (;;) {
      await delay(parts.runtime.scheduler, compaction.intervalMs, session.signal);
      if (parts.kept.get("/controller")?.lease !== session.lease()?.id) continue;
      await compact(parts, session.revision() - BigInt(compaction.retainRevisions), session.signal);
    }
  };
  run().catch((error: unknown) => {
    if (!session.signal.aborted) throw error;
  });
}

/** Forgets what is below `revision`. Rejects with the signal's reason. */
async function compact({ calls, onEvent }: LinkParts, revision: bigint, signal: AbortSignal): Promise<void> {
  if (revision <= 0n) return;
  try {
    await calls.once((stubs) => stubs.compact(revision), signal);
    onEvent({ kind: "historyCompacted", revision: toRevision(revision) });
  } catch (error) {
    if (!(error instanceof EtcdError)) throw error;
    // Somebody else compacted further: as good.
    if (error.code !== "COMPACTED") onEvent({ kind: "compactionFailed", message: error.message });
  }
}
