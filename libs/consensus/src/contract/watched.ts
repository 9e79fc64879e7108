import type { Revision } from "@tidemark/ids";
import { fromUtf8 } from "../bytes.ts";
import type { Change, Consensus, Leadership, WatchEvent } from "../consensus.ts";
import { decodeAppend } from "../records.ts";
import type { CandidateNumber } from "./cluster.ts";

/** A process under test, and all that it said and showed. */
export interface Watched {
  readonly candidate: CandidateNumber;
  readonly consensus: Consensus;
  /** Every belief it announced, oldest first. */
  readonly beliefs: readonly Leadership[];
  /** Its tree, as its watch built it up. */
  readonly tree: ReadonlyMap<string, Uint8Array>;
  readonly batches: ReadonlyMap<Revision, readonly Change[]>;
  readonly snapshots: readonly Revision[];
  /** What its watch did that no watch may do (C1, C2). */
  readonly violations: readonly string[];
  belief(): Leadership;
  revision(): Revision | undefined;
  /** The text at a key. Undefined: absent. */
  text(key: string): string | undefined;
  /** Stops watching. */
  stop(): void;
}

export function watchProcess(candidate: CandidateNumber, consensus: Consensus): Watched {
  const beliefs: Leadership[] = [];
  const watching = new AbortController();
  const replica = createReplica();
  const follow = async () => {
    for await (const event of consensus.watch(watching.signal)) replica.take(event);
  };
  const listen = async () => {
    for await (const belief of consensus.leadership()) beliefs.push(belief);
  };
  for (const task of [follow(), listen()]) {
    task.catch((error: unknown) => replica.violations.push(`an iteration threw: ${String(error)}`));
  }
  return {
    candidate,
    consensus,
    beliefs,
    tree: replica.tree,
    batches: replica.batches,
    snapshots: replica.snapshots,
    violations: replica.violations,
    belief: () => beliefs.at(-1) ?? { kind: "none" },
    revision: replica.revision,
    text(key) {
      const value = replica.tree.get(key);
      return value === undefined ? undefined : fromUtf8(value);
    },
    stop: () => watching.abort(),
  };
}

/** Builds a tree from a watch, and notes what breaks the rules. */
function createReplica() {
  const tree = new Map<string, Uint8Array>();
  const batches = new Map<Revision, readonly Change[]>();
  const snapshots: Revision[] = [];
  const violations: string[] = [];
  let revision: Revision | undefined;

  const takeBatch = (event: WatchEvent & { readonly kind: "batch" }) => {
    if (revision === undefined) violations.push("a batch came before the first snapshot");
    if (new Set(event.changes.map(({ key }) => key)).size < event.changes.length) {
      violations.push(`revision ${event.revision} holds a key twice`);
    }
    const gap = gapBefore(tree, event.changes);
    if (gap !== undefined) violations.push(`revision ${event.revision}: ${gap}`);
    for (const change of event.changes) {
      if (change.kind === "put") tree.set(change.key, change.value);
      else if (!tree.delete(change.key)) violations.push(`revision ${event.revision} deletes absent ${change.key}`);
    }
    batches.set(event.revision, event.changes);
  };

  return {
    tree,
    batches,
    snapshots,
    violations,
    revision: () => revision,
    take(event: WatchEvent) {
      if (revision !== undefined && event.revision < revision) violations.push(`revision fell to ${event.revision}`);
      if (event.kind === "batch" && event.revision === revision) violations.push(`revision ${revision} came twice`);
      if (event.kind === "batch") takeBatch(event);
      else {
        tree.clear();
        for (const [key, value] of event.entries) tree.set(key, value);
        snapshots.push(event.revision);
      }
      revision = event.revision;
    },
  };
}

/** What is missing between the tree and a batch, by the sequence that `/append` counts in each epoch. */
function gapBefore(tree: ReadonlyMap<string, Uint8Array>, changes: readonly Change[]): string | undefined {
  const before = tree.get("/append");
  const put = changes.find((change) => change.key === "/append");
  if (before === undefined || put?.kind !== "put") return undefined;
  const last = decodeAppend(before);
  const next = decodeAppend(put.value);
  if (last === undefined || next === undefined) return undefined;
  if (next.epoch > last.epoch) return next.sequence === 0n ? undefined : "an epoch does not begin with its claim";
  if (next.epoch === last.epoch && next.sequence === last.sequence + 1n) return undefined;
  return `/append goes from ${last.epoch}/${last.sequence} to ${next.epoch}/${next.sequence}`;
}
