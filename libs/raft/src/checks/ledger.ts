/**
 * What the whole cluster may know only once: who led which term, which entry stands where, what is committed. Every node's
 * doings are held against it.
 *
 * | invariant            | promise                                                                          |
 * |----------------------|----------------------------------------------------------------------------------|
 * | election safety      | at most one leader in a term (Raft 5.2)                                          |
 * | log matching         | one index and term: the same entry, and the same before it (Raft 5.3)            |
 * | leader completeness  | what was committed in an older term is in every leader's log (Raft 5.4)          |
 * | state machine safety | one index, one entry, one state, at every node that applies it (Raft 5.4.3)      |
 * | commit monotonic     | a node's commit index never goes back and leaves nothing out                     |
 */
import type { Entry } from "../entry.ts";
import type { LogIndex, NodeId, Position, Term } from "../ids.ts";
import { entryAt, type LogImage, sameEntry } from "./log-image.ts";
import { check } from "./violation.ts";

export interface Ledger {
  /** How many entries are committed: the index of the last one. */
  committed(): LogIndex;
  elections(): number;
  /** The state after the entry at `index`. */
  stateAt(index: LogIndex): number;
  leads(node: NodeId, life: number, term: Term, log: LogImage): void;
  /** `entries` are written behind `previous`. */
  wrote(previous: Position, entries: readonly Entry[]): void;
  /** A node of `term` says that `from` to `to` of its log is committed. */
  commits(node: NodeId, log: LogImage, from: LogIndex, to: LogIndex, term: Term): void;
  /** A node has reached `state` by applying everything up to `index`. */
  applies(node: NodeId, index: LogIndex, state: number): void;
}

interface Known {
  readonly entry: Entry;
  readonly previousTerm: Term;
}

/** One index of one term. Terms of a run stay far below the factor. */
const keyOf = (position: Position) => position.index * 1_000_000 + position.term;

/** The next state: depends on all entries before and on their order. */
export function stateAfter(state: number, entry: Entry): number {
  const payload = entry.kind === "batch" ? (entry.data[0] ?? 0) + (entry.data[1] ?? 0) * 256 : entry.kind.length;
  return (Math.imul(state ^ (entry.index * 31 + entry.term), 0x01000193) + payload) | 0;
}

export function createLedger(firstCommitted: LogIndex): Ledger {
  const leaders = new Map<Term, string>();
  const known = new Map<number, Known>();
  /** By index; those of the first disks are not in it. */
  const committed: { readonly entry: Entry; readonly term: Term; readonly state: number }[] = [];
  const at = (index: number) => committed[index - firstCommitted - 1];
  const end = () => (firstCommitted + committed.length) as LogIndex;
  const stateAt = (index: number) => at(index)?.state ?? 0;

  return {
    committed: end,
    elections: () => leaders.size,
    stateAt,
    leads(node, life, term, log) {
      const name = `${node} in its life ${life}`;
      const other = leaders.get(term);
      check(other === undefined, "election safety", () => `${name} leads term ${term}, and so did ${String(other)}`);
      leaders.set(term, name);
      for (const { entry, term: committedIn } of committed) {
        if (committedIn >= term || entry.index <= log.snapshot.meta.index) continue;
        check(
          isSame(entryAt(log, entry.index), entry),
          "leader completeness",
          () =>
            `${node} leads term ${term} without entry ${entry.index} of term ${entry.term}, committed in ${committedIn}`,
        );
      }
    },
    wrote(previous, entries) {
      let before = previous;
      for (const entry of entries) {
        const found = known.get(keyOf(entry));
        if (found === undefined) known.set(keyOf(entry), { entry, previousTerm: before.term });
        else {
          const same = sameEntry(found.entry, entry) && found.previousTerm === before.term;
          check(
            same,
            "log matching",
            () => `two entries are ${entry.index} of term ${entry.term}, or follow different ones`,
          );
        }
        before = entry;
      }
    },
    commits(node, log, from, to, term) {
      for (let index: number = from; index <= to; index++) {
        const entry = entryAt(log, index);
        const agreed = at(index);
        if (agreed !== undefined) {
          const same = isSame(entry, agreed.entry) || index <= log.snapshot.meta.index;
          check(same, "state machine safety", () => `${node} commits another entry at ${index}`);
          continue;
        }
        if (index <= firstCommitted) continue;
        check(entry !== undefined, "commit monotonic", () => `${node} commits ${index}, which it does not have`);
        committed.push({ entry, term, state: stateAfter(stateAt(index - 1), entry) });
      }
    },
    applies(node, index, state) {
      check(index <= end(), "state machine safety", () => `${node} applies ${index}, which nobody committed`);
      check(state === stateAt(index), "state machine safety", () => `${node} has another state at ${index}`);
    },
  };
}

function isSame(found: Entry | undefined, entry: Entry): boolean {
  return found !== undefined && sameEntry(found, entry);
}
