import type { RaftExperiment } from "@tidemark/controller";
import type { DirectoryId } from "@tidemark/ids";
import type { Membership } from "@tidemark/raft";
import { createRaftWatch, type NodeWatch, Violation } from "@tidemark/raft/checks";
import type { Violations } from "../checks/violations.ts";

/** Holds what the controllers' own quorum does against the promises of Raft, after each step of each of them. */
export interface QuorumWatch {
  /** What tells the watch of the node that lives in this process. `process`: unlike that of any other life. */
  observe(process: string): NonNullable<RaftExperiment["observe"]>;
  /** The process has ended. */
  forget(process: string): void;
  /** Terms that had a leader. */
  readonly elections: number;
  /** Entries that are committed. */
  readonly committed: number;
  /** Who leads. Undefined: nobody that runs. */
  leader(): DirectoryId | undefined;
  /** The membership, where no change of it is under way and all voters run. Undefined: otherwise. */
  settledMembership(): Membership | undefined;
}

export function createQuorumWatch({ report }: Violations): QuorumWatch {
  const watch = createRaftWatch();
  const lives = new Map<string, NodeWatch>();
  const checking = (check: () => void) => {
    try {
      check();
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      report(error.invariant, error.message);
    }
  };
  return {
    observe: (process) => (node) => {
      let life: NodeWatch | undefined;
      checking(() => {
        life = watch.opened(node.id, node.start, node.believes);
      });
      if (life !== undefined) lives.set(process, life);
      return {
        onReady: (ready) => checking(() => life?.onReady(ready)),
        onFlushed: (token) => checking(() => life?.onFlushed(token)),
        onSnapshot: (meta) => checking(() => life?.onSnapshot(meta)),
        onApplied: (index, digest) => checking(() => life?.onApplied(index, digest)),
        onLeaseBegun: (term) => checking(() => life?.onLeaseBegun(term)),
      };
    },
    forget(process) {
      lives.get(process)?.ended();
      lives.delete(process);
    },
    get elections() {
      return watch.elections();
    },
    get committed() {
      return watch.committed();
    },
    leader: () => watch.leader(),
    settledMembership: () => watch.settledMembership(),
  };
}
