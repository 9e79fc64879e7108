import type { ControllerEpoch, Revision } from "@tidemark/ids";
import { randomUuid } from "@tidemark/runtime";
import type { CandidateIdentity } from "../consensus.ts";
import { type AppendValue, encodeAppend, encodeController, encodeControllerEpoch } from "../records.ts";
import type { StoreSession } from "../store/store-link.ts";
import type { CandidateContext } from "./context.ts";
import { catchUp, send } from "./exchange.ts";
import { appendKey, controllerEpochKey, controllerKey } from "./store-keys.ts";

/**
 * | outcome   | meaning                                                                          |
 * |-----------|----------------------------------------------------------------------------------|
 * | won       | the epoch is ours, and this candidate's copy holds all that was committed before |
 * | lost      | another change came first, and this candidate's copy holds it                    |
 * | unsettled | the answer was lost, and the claim was not there yet. Should it arrive, it names  |
 * |           | this candidate's own directory, which claims over it                              |
 * | noSpace   | the storage is full                                                              |
 * | failed    | the storage refused or failed                                                    |
 * | over      | the session was lost over it                                                     |
 */
export type ClaimOutcome =
  | { readonly kind: "won"; readonly revision: Revision }
  | { readonly kind: "lost" | "unsettled" | "noSpace" | "failed" | "over" };

export interface Claim {
  readonly epoch: ControllerEpoch;
  /** What the claim writes to `/append`. */
  readonly fence: AppendValue;
}

export function newClaim(epoch: ControllerEpoch, context: CandidateContext): Claim {
  return { epoch, fence: { epoch, sequence: 0n, attempt: randomUuid(context.runtime.random) } };
}

/**
 * The guarded batch that makes a leader: `/controller`, the next epoch and the first fence, only if `/append` and
 * `/controller` are still as this candidate's copy has them. Exactly one of several wins (C3).
 */
export async function carryOutClaim(
  claim: Claim,
  identity: CandidateIdentity,
  session: StoreSession,
  context: CandidateContext,
): Promise<ClaimOutcome> {
  const { keys } = context;
  const { epoch, fence } = claim;
  const leader = encodeController({ kind: "leader", epoch, ...identity });
  const answer = await send(session, {
    guards: [
      { key: appendKey, value: keys.append().bytes },
      { key: controllerKey, value: keys.controller().bytes },
    ],
    batches: [
      [
        { kind: "put", key: controllerKey, value: leader, ephemeral: true },
        { kind: "put", key: controllerEpochKey, value: encodeControllerEpoch(epoch) },
        { kind: "put", key: appendKey, value: encodeAppend(fence) },
      ],
    ],
  });
  switch (answer.kind) {
    case "committed":
    case "lost": {
      if (!(await catchUp(session, context))) return { kind: "over" };
      const { value, revision } = keys.append();
      if (value?.attempt === fence.attempt && revision !== undefined) return { kind: "won", revision };
      return { kind: answer.kind === "lost" ? "unsettled" : "lost" };
    }
    case "conflict":
      return { kind: (await catchUp(session, context)) ? "lost" : "over" };
    case "noSpace":
      return { kind: "noSpace" };
    case "sessionEnded":
      await context.connection.gone(session);
      return { kind: "over" };
    case "refused":
    case "failed":
    case "unknown":
      return { kind: "failed" };
  }
}
