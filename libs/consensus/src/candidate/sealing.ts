import { type ControllerEpoch, controllerEpoch } from "@tidemark/ids";
import { formatKey } from "@tidemark/metadata";
import { randomUuid } from "@tidemark/runtime";
import type { AppendOutcome } from "../consensus.ts";
import { encodeAppend, encodeController, encodeControllerEpoch, isSealed, withSeal } from "../records.ts";
import type { StoreChange, StoreSession } from "../store/store-link.ts";
import type { CandidateContext } from "./context.ts";
import { catchUp, send } from "./exchange.ts";
import { appendKey, controllerEpochKey, controllerKey } from "./store-keys.ts";

export const clusterKey = formatKey({ kind: "cluster" });

/** What seals the store at the end of `epoch`. Undefined where `/cluster` is absent or does not parse. */
export function sealingChanges(epoch: ControllerEpoch, context: CandidateContext): readonly StoreChange[] | undefined {
  const cluster = context.hub.get(clusterKey);
  const sealed = cluster === undefined ? undefined : withSeal(cluster, true);
  if (sealed === undefined) return undefined;
  return [
    { kind: "put", key: clusterKey, value: sealed },
    { kind: "put", key: controllerKey, value: encodeController({ kind: "resigned", epoch }) },
    { kind: "put", key: controllerEpochKey, value: encodeControllerEpoch(controllerEpoch(epoch + 1)) },
  ];
}

/** A guarded batch of its own, since a sealed store has no leader. */
export async function unseal(session: StoreSession, context: CandidateContext): Promise<AppendOutcome> {
  const { keys, hub, runtime } = context;
  const cluster = hub.get(clusterKey);
  const unsealed = cluster === undefined ? undefined : withSeal(cluster, false);
  const highest = keys.highestEpoch();
  if (!isSealed(cluster) || unsealed === undefined || highest === undefined) {
    return { kind: "refused", reason: "INVALID_BATCH", message: "the store is not sealed" };
  }
  const epoch = controllerEpoch(highest + 1);
  const fence = { epoch, sequence: 0n, attempt: randomUuid(runtime.random) };
  const answer = await send(session, {
    guards: [
      { key: clusterKey, value: cluster },
      { key: appendKey, value: keys.append().bytes },
    ],
    batches: [
      [
        { kind: "put", key: clusterKey, value: unsealed },
        { kind: "put", key: controllerEpochKey, value: encodeControllerEpoch(epoch) },
        { kind: "put", key: appendKey, value: encodeAppend(fence) },
      ],
    ],
  });
  switch (answer.kind) {
    case "committed": {
      const [revision] = answer.revisions;
      return revision === undefined ? unknown("no revision was answered") : { kind: "committed", revision };
    }
    case "lost": {
      const isThere = await catchUp(session, context);
      const { value, revision } = keys.append();
      if (isThere && value?.attempt === fence.attempt && revision !== undefined) return { kind: "committed", revision };
      return unknown("the answer was lost");
    }
    case "conflict":
    case "sessionEnded":
      return { kind: "refused", reason: "FENCED", message: "another change came first" };
    case "noSpace":
      return { kind: "refused", reason: "NO_SPACE", message: answer.message };
    case "refused":
      return { kind: "refused", reason: "STORE_REFUSED", message: answer.message };
    case "failed":
      return { kind: "refused", reason: "FAILED", message: answer.message };
    case "unknown":
      return unknown(answer.message);
  }
}

function unknown(message: string): AppendOutcome {
  return { kind: "unknown", message };
}
