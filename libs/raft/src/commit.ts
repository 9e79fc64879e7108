/**
 * The commit index (Raft 5.3, 5.4.2).
 *
 * 1. A leader commits what a majority of voters has flushed, its own flush included, and only up to an entry of its own
 *    term: entries of older terms are committed with it, never by counting (figure 8).
 * 2. A follower commits what the leader says, as far as it has it.
 */
import { entryBytes } from "./entry.ts";
import { indexAfter, type LogIndex } from "./ids.ts";
import { emit, type Machine, send, votersOf } from "./machine.ts";
import { isVoter } from "./membership.ts";
import { reachedByMajority } from "./quorum.ts";
import { admitEarlyReads } from "./read-index.ts";
import type { LeaderRole } from "./roles.ts";
import { becomeFollower } from "./transitions.ts";

/** Moves the commit index to `index`, or to the end of the log. */
export function commitTo(machine: Machine, index: LogIndex): void {
  const from = machine.log.committed();
  if (!machine.log.commitTo(index)) return;
  emit(machine, { kind: "committed", from: indexAfter(from), to: machine.log.committed() });
}

/** Commits what can be committed after something was flushed here or acknowledged by a follower. */
export function advanceCommit(machine: Machine, role: LeaderRole): void {
  const { log, guards } = machine;
  const own = guards.answerAfterFlush ? log.flushed() : log.last().index;
  const reached = reachedByMajority(votersOf(machine), (id) =>
    id === machine.id ? own : (role.progress.get(id)?.match ?? 0),
  ) as LogIndex;
  const from = log.committed();
  if (reached <= from) return;
  if (guards.commitOnlyOwnTerm && log.termAt(reached) !== machine.term) return;
  commitTo(machine, reached);
  for (let index = indexAfter(from); index <= log.committed(); index = indexAfter(index)) {
    const entry = log.entryAt(index);
    if (entry?.kind === "batch") role.uncommittedBytes = Math.max(0, role.uncommittedBytes - entryBytes(entry));
  }
  admitEarlyReads(machine, role);
  leaveWhenRemoved(machine, role);
}

/** A leader that committed a membership without itself steps down, and names its most advanced follower (thesis 4.2.2). */
function leaveWhenRemoved(machine: Machine, role: LeaderRole): void {
  const { log, membership } = machine;
  if (isVoter(membership.current(), machine.id) || membership.currentIndex() > log.committed()) return;
  const [heir] = [...role.progress]
    .filter(([id]) => isVoter(membership.current(), id))
    .sort(([, left], [, right]) => right.match - left.match);
  if (heir !== undefined) send(machine, { kind: "timeoutNow", from: machine.id, to: heir[0], term: machine.term });
  becomeFollower(machine, machine.term, undefined, "removed");
}
