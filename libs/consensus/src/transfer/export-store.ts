/** Takes the metadata out of a store, with the seal that makes it the last word of that store, or without. */
import { controllerEpoch } from "@tidemark/ids";
import type { CandidateIdentity, Consensus, Leadership, WatchEvent } from "../consensus.ts";
import { decodeControllerEpoch, isSealed, withSeal } from "../records.ts";
import { isStoreKey } from "../store-key.ts";
import type { MetadataExport } from "./metadata-export.ts";

/**
 * | code              | cause                                                                            |
 * |-------------------|----------------------------------------------------------------------------------|
 * | EMPTY             | the store holds no cluster                                                       |
 * | ACTIVE_CONTROLLER | a controller leads: it has to be stopped before the store can be sealed          |
 * | NOT_SEALED        | the seal was refused, or nobody knows what became of it                          |
 */
export type ExportErrorCode = "EMPTY" | "ACTIVE_CONTROLLER" | "NOT_SEALED";

export class ExportError extends Error {
  readonly code: ExportErrorCode;

  constructor(code: ExportErrorCode, message: string) {
    super(message);
    this.name = "ExportError";
    this.code = code;
  }
}

export interface ExportOptions {
  /** Who seals. Undefined: nobody, this is a backup. */
  readonly sealAs: CandidateIdentity | undefined;
  readonly signal: AbortSignal;
}

/** Throws ExportError. A store that was sealed before is exported as it was then. */
export async function exportStore(consensus: Consensus, { sealAs, signal }: ExportOptions): Promise<MetadataExport> {
  const before = await snapshotOf(consensus, signal);
  const cluster = before.entries.get("/cluster");
  if (cluster === undefined) throw new ExportError("EMPTY", "The store holds no cluster.");
  if (sealAs !== undefined && !isSealed(cluster)) await seal(consensus, sealAs);
  const { revision, entries } = await snapshotOf(consensus, signal);
  const now = entries.get("/cluster") ?? cluster;
  const unsealed = withSeal(now, false) ?? now;
  const epoch = decodeControllerEpoch(entries.get("/controller_epoch") ?? new Uint8Array());
  const own = [...entries].filter(([key]) => !isStoreKey(key));
  return {
    clusterId: clusterIdOf(now),
    revision,
    controllerEpoch: epoch ?? controllerEpoch(0),
    sealed: isSealed(now),
    entries: new Map([...own, ["/cluster", unsealed]]),
  };
}

/** Everything that was committed before the call. */
export async function snapshotOf(
  consensus: Consensus,
  signal: AbortSignal,
): Promise<WatchEvent & { readonly kind: "snapshot" }> {
  await consensus.sync(signal);
  const reading = new AbortController();
  for await (const event of consensus.watch(AbortSignal.any([signal, reading.signal]))) {
    reading.abort();
    if (event.kind === "snapshot") return event;
  }
  throw new Error("Broken invariant: a watch begins with a snapshot");
}

async function seal(consensus: Consensus, identity: CandidateIdentity): Promise<void> {
  await consensus.join(identity);
  const belief = await firstBelief(consensus);
  if (belief.kind !== "leading") {
    const who = belief.kind === "following" ? ` (controller ${belief.leader} at ${belief.endpoint})` : "";
    throw new ExportError("ACTIVE_CONTROLLER", `A controller leads${who}. Stop all controllers, then export.`);
  }
  const outcome = await consensus.seal(belief.epoch);
  if (outcome.kind !== "committed") throw new ExportError("NOT_SEALED", `The store was not sealed: ${outcome.message}`);
}

async function firstBelief(consensus: Consensus): Promise<Leadership> {
  for await (const belief of consensus.leadership()) if (belief.kind !== "none") return belief;
  return { kind: "none" };
}

function clusterIdOf(value: Uint8Array): string {
  const { clusterId } = JSON.parse(Buffer.from(value).toString()) as { readonly clusterId?: string };
  return clusterId ?? "";
}
