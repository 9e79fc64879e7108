import { type Revision, revision as toRevision } from "@tidemark/ids";
import { sameBytes } from "../bytes.ts";
import type { CommittedBatch, StoreChange, StoredValue, StoreRequest } from "./store-link.ts";

/** What a store begins with. Keys that are held belong to sessions of an earlier life. */
export interface StoreContent {
  readonly revision: Revision;
  readonly entries: ReadonlyMap<string, StoredValue>;
}

/** The committed keys, and who bound the ephemeral ones. */
export interface Tree<Owner> {
  revision(): Revision;
  /** Whether every guard of the request holds. */
  accepts(request: StoreRequest): boolean;
  /** The batches at the next revisions, with the changes that take effect: a deletion of an absent key does not. */
  stamp(batches: StoreRequest["batches"]): readonly CommittedBatch[];
  apply(batch: CommittedBatch, owner: Owner): void;
  keysOf(owner: Owner): readonly string[];
  entries(): ReadonlyMap<string, StoredValue>;
}

export function createTree<Owner>(content: StoreContent, earlierLife: Owner): Tree<Owner> {
  const entries = new Map<string, StoredValue>(content.entries);
  const owners = new Map<string, Owner>();
  for (const [key, { held }] of entries) if (held) owners.set(key, earlierLife);
  let revision = content.revision;

  return {
    revision: () => revision,
    accepts: (request) => request.guards.every(({ key, value }) => sameBytes(entries.get(key)?.value, value)),
    stamp(batches) {
      const present = new Map<string, boolean>();
      const takesEffect = (change: StoreChange) => {
        const was = present.get(change.key) ?? entries.has(change.key);
        present.set(change.key, change.kind === "put");
        return change.kind === "put" || was;
      };
      return batches.map((changes, at) => ({
        revision: toRevision(revision + 1n + BigInt(at)),
        changes: changes.filter(takesEffect),
      }));
    },
    apply(batch, owner) {
      revision = batch.revision;
      for (const change of batch.changes) {
        owners.delete(change.key);
        if (change.kind === "delete") entries.delete(change.key);
        else entries.set(change.key, { value: change.value, held: change.ephemeral ?? false });
        if (change.kind === "put" && change.ephemeral) owners.set(change.key, owner);
      }
    },
    keysOf: (owner) => [...owners].filter(([, bound]) => bound === owner).map(([key]) => key),
    entries: () => entries,
  };
}
