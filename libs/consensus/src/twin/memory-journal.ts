import { revision } from "@tidemark/ids";
import type { Journal, JournalOutcome } from "../store/journal.ts";
import { createTree, type StoreContent } from "../store/tree.ts";

/** What stands in for a disk: a store can be opened on it again and again. */
export interface MemoryHome {
  /** What was written so far, and where to write more. Whatever wrote before is cut off, as by a power cut. */
  open(): { readonly content: StoreContent; readonly journal: Journal };
}

export function createMemoryHome(): MemoryHome {
  const tree = createTree<"anyone">({ revision: revision(0n), entries: new Map() }, "anyone");
  let opened = 0;
  return {
    open() {
      opened += 1;
      const life = opened;
      const written: JournalOutcome = { kind: "written" };
      const unlessCutOff = (): Promise<JournalOutcome> =>
        life === opened ? Promise.resolve(written) : new Promise<never>(() => {});
      const journal: Journal = {
        async write(batches) {
          await unlessCutOff();
          for (const batch of batches) tree.apply(batch, "anyone");
          return written;
        },
        idle: unlessCutOff,
        wantsCompaction: () => false,
        compact: unlessCutOff,
        close: async () => {},
      };
      return { content: { revision: tree.revision(), entries: new Map(tree.entries()) }, journal };
    },
  };
}
