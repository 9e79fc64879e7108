import { formatKey } from "@tidemark/metadata";
import type { CandidateIdentity } from "../consensus.ts";
import { encodeCandidate } from "../records.ts";
import type { StoreSession } from "../store/store-link.ts";
import type { CandidateContext } from "./context.ts";
import { catchUp, send } from "./exchange.ts";

/**
 * | outcome     | meaning                                                                  |
 * |-------------|--------------------------------------------------------------------------|
 * | registered  | `/controllers/<id>` is bound to the session                              |
 * | taken       | a living candidate with another directory has the id                     |
 * | sessionLost | the session ended first                                                  |
 * | noSpace     | the storage is full                                                      |
 * | failed      | the storage refused or failed                                            |
 */
export type Registration =
  | { readonly kind: "registered" | "taken" | "sessionLost" }
  /** In the store's own words. */
  | { readonly kind: "noSpace" | "failed"; readonly message: string };

/**
 * Writes `/controllers/<id>` for the session. A value of one's own directory is overwritten at once, so that a quick
 * restart never waits for its own ghost.
 */
export async function register(
  session: StoreSession,
  identity: CandidateIdentity,
  context: CandidateContext,
): Promise<Registration> {
  const key = formatKey({ kind: "candidate", controllerId: identity.controllerId });
  for (;;) {
    const found = context.keys.candidate(key);
    if (found.held && found.value?.directoryId !== identity.directoryId) return { kind: "taken" };
    const answer = await send(session, {
      guards: [{ key, value: found.bytes }],
      batches: [[{ kind: "put", key, value: encodeCandidate(identity), ephemeral: true }]],
    });
    switch (answer.kind) {
      case "committed":
        return { kind: "registered" };
      case "conflict":
      case "lost":
        if (!(await catchUp(session, context))) return { kind: "sessionLost" };
        break;
      case "sessionEnded":
        await context.connection.gone(session);
        return { kind: "sessionLost" };
      case "noSpace":
        return { kind: "noSpace", message: answer.message };
      case "refused":
      case "failed":
      case "unknown":
        return { kind: "failed", message: answer.message };
    }
  }
}
