/**
 * The election states and every way between them. No other file sets `machine.role`.
 *
 * | from         | to           | when                                                                              |
 * |--------------|--------------|-----------------------------------------------------------------------------------|
 * | follower     | preCandidate | no leader was heard for an election timeout, or its port refuses; voters only     |
 * | follower     | candidate    | the leader says `timeoutNow`; voters only                                         |
 * | preCandidate | candidate    | a majority would vote for it                                                      |
 * | preCandidate | follower     | a leader of this term, a newer term, a majority's refusal, or a better pre-candidate |
 * | candidate    | leader       | a majority voted for it, its own flushed vote included                            |
 * | candidate    | follower     | a leader of this term, a newer term, or a majority's refusal                      |
 * | candidate, preCandidate | preCandidate | the election timeout passed without a result                            |
 * | leader       | follower     | a newer term, no majority heard for an election timeout, or removed by its own commit |
 *
 * Terms grow on the way to candidate (by 1) and to follower (to the newer term), nowhere else. A vote is given once per
 * term: to oneself on the way to candidate, to another in `votes.ts`.
 */
import type { CampaignCause, FollowCause } from "./events.ts";
import { indexAfter, type NodeId, type Term, termAfter } from "./ids.ts";
import { emit, type Machine, setHardState } from "./machine.ts";
import { createProgress, type Progress } from "./progress.ts";
import type { FollowerRole, LeaderRole } from "./roles.ts";

/** Follows in `term`, which is not older than the current one. `leader` undefined: waits to hear from one. */
export function becomeFollower(
  machine: Machine,
  term: Term,
  leader: NodeId | undefined,
  cause: FollowCause,
): FollowerRole {
  loseReads(machine);
  // Requests for votes that still wait for their flush speak of a log that the new leader may cut.
  machine.out.held = machine.out.held.filter(({ message }) => message.kind !== "voteRequest");
  setHardState(machine, term, term > machine.term ? undefined : machine.votedFor);
  const role = createFollower(machine, leader);
  machine.role = role;
  emit(machine, { kind: "becameFollower", term, leader, cause });
  return role;
}

/** A follower that begins to wait now. */
export function createFollower(
  machine: Pick<Machine, "ticks" | "timing" | "log">,
  leader: NodeId | undefined,
): FollowerRole {
  return {
    kind: "follower",
    leader,
    heardTick: machine.ticks,
    waitTick: machine.ticks,
    timeoutTicks: machine.timing.drawElectionTicks(),
    verified: machine.log.committed(),
    acknowledged: machine.log.committed(),
    receiving: undefined,
    reads: new Set(),
  };
}

export function becomePreCandidate(machine: Machine, cause: CampaignCause): void {
  loseReads(machine);
  machine.role = {
    kind: "preCandidate",
    cause,
    startTick: machine.ticks,
    timeoutTicks: machine.timing.drawElectionTicks(),
    votes: new Map([[machine.id, true]]),
  };
  emit(machine, { kind: "becamePreCandidate", term: machine.term, cause });
}

/** Opens a term and votes for itself; the vote counts once it is flushed. */
export function becomeCandidate(machine: Machine, cause: CampaignCause): void {
  loseReads(machine);
  setHardState(machine, termAfter(machine.term), machine.id);
  machine.role = {
    kind: "candidate",
    startTick: machine.ticks,
    timeoutTicks: machine.timing.drawElectionTicks(),
    votes: new Map(),
  };
  emit(machine, { kind: "becameCandidate", term: machine.term, cause });
}

/** Leads the current term. The caller appends the no-op that opens it. */
export function becomeLeader(machine: Machine): LeaderRole {
  const last = machine.log.last();
  const role: LeaderRole = {
    kind: "leader",
    firstIndex: indexAfter(last.index),
    progress: new Map<NodeId, Progress>(),
    startTick: machine.ticks,
    heartbeatTick: machine.ticks,
    round: 0,
    roundDue: false,
    reads: [],
    earlyReads: [],
    transfer: undefined,
    uncommittedBytes: 0,
  };
  machine.role = role;
  syncProgress(machine, role);
  emit(machine, { kind: "becameLeader", term: machine.term, last });
  return role;
}

/** Begins to track new members and forgets those that left. */
export function syncProgress(machine: Machine, role: LeaderRole): void {
  const { voters, learners } = machine.membership.current();
  const members = [...voters, ...learners].map((member) => member.id);
  for (const id of role.progress.keys()) if (!members.includes(id)) role.progress.delete(id);
  for (const id of members) {
    if (id === machine.id || role.progress.has(id)) continue;
    role.progress.set(id, createProgress(machine.log.last().index, machine.ticks));
  }
}

/** Whoever asked for a read asks again: a new leader knows nothing of it. */
function loseReads(machine: Machine): void {
  const { role, out } = machine;
  if (role.kind === "follower") {
    for (const context of role.reads) out.reads.push({ kind: "lost", context });
    role.reads.clear();
  } else if (role.kind === "leader") {
    for (const { context, from } of [...role.reads, ...role.earlyReads]) {
      if (from === machine.id) out.reads.push({ kind: "lost", context });
    }
  }
}
