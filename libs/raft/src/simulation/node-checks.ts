/** What a simulated node's events mean for the invariants. */

import { entryAt } from "../checks/log-image.ts";
import { holdsEntry } from "../checks/promises.ts";
import { check } from "../checks/violation.ts";
import type { RaftEvent } from "../events.ts";
import type { LogIndex, Term } from "../ids.ts";
import { majorityOf, nthGreatest } from "../quorum.ts";
import type { Life, SimulatedNode } from "./node.ts";
import { electionTicksMax, electionTicksMin, type World } from "./world.ts";

export function observe(world: World, node: SimulatedNode, current: Life, event: RaftEvent): void {
  trace(world, node, 7, eventCode(event), () => JSON.stringify(event));
  switch (event.kind) {
    case "becameFollower":
      node.role = "follower";
      node.term = event.term;
      return;
    case "becamePreCandidate":
      node.role = "preCandidate";
      return;
    case "becameCandidate":
      node.role = "candidate";
      node.term = event.term;
      if (event.cause !== "transfer") checkWasNotQuiet(node, current, event.term);
      return;
    case "becameLeader":
      node.role = "leader";
      current.leaderSinceTick = current.ticks;
      world.ledger.leads(node.id, node.life, event.term, node.disk.written);
      current.hasCommitted = false;
      world.reaches(node, "election");
      return;
    case "voted":
      return world.reaches(node, "vote");
    case "membershipChanged":
      node.membership = event.membership;
      world.counts.changes++;
      if (node.role === "leader") world.reaches(node, "change");
      return;
    case "committed":
      return commits(world, node, current, event.from, event.to);
    case "snapshotReceived":
      node.committed = event.snapshot.index;
      world.counts.snapshots++;
      return;
    case "cut":
      check(
        event.from > node.committed,
        "committed entries stay",
        () => `${node.id} cuts from ${event.from}, committed is ${node.committed}`,
      );
      return;
    case "entriesLost":
      // An empty disk under a lost disk's id did lose them, and a heartbeat from before its promotion says so.
      return check(
        world.lost?.lostId === node.id,
        "what was acknowledged stays",
        () => `${node.id} had flushed up to ${event.known}, and has ${event.last}`,
      );
    default:
  }
}

function commits(world: World, node: SimulatedNode, current: Life, from: LogIndex, to: LogIndex): void {
  const { written } = node.disk;
  check(
    from === node.committed + 1 && to >= from,
    "commit monotonic",
    () => `${node.id} commits ${from} to ${to} after ${node.committed}`,
  );
  node.committed = to;
  if (node.role === "leader" && !current.hasCommitted) {
    current.hasCommitted = true;
    world.reaches(node, "firstCommit");
  }
  const last = entryAt(written, to);
  if (node.role === "leader" && last !== undefined) {
    const { voters } = node.membership;
    const flushed = voters.filter((voter) => {
      const image = world.durableOf(voter.id);
      return image !== undefined && holdsEntry(image, last);
    }).length;
    check(
      flushed >= majorityOf(voters.length),
      "commit has a quorum",
      () => `${node.id} commits ${to}, which ${flushed} of ${voters.length} voters have flushed`,
    );
  }
  world.ledger.commits(node.id, written, from, to, node.term);
}

/** When a majority of voters, this node included, was heard last. */
function quorumHeardTick(node: SimulatedNode, current: Life, never: number): number {
  const { voters } = node.membership;
  const heard = voters.map(({ id }) => (id === node.id ? current.ticks : (current.heardTick.get(id) ?? never)));
  return nthGreatest(heard, majorityOf(voters.length));
}

function checkWasNotQuiet(node: SimulatedNode, current: Life, term: Term): void {
  const heard = quorumHeardTick(node, current, Number.NEGATIVE_INFINITY);
  check(
    current.ticks - heard <= electionTicksMax + 1,
    "quiet nodes raise no term",
    () => `${node.id} opens term ${term}, and heard from no majority for more than an election timeout`,
  );
}

export function checkLeads(node: SimulatedNode, current: Life): void {
  if (node.role !== "leader") return;
  const heard = Math.max(current.leaderSinceTick, quorumHeardTick(node, current, Number.NEGATIVE_INFINITY));
  check(
    current.ticks - heard <= electionTicksMin,
    "a lonely leader steps down",
    () => `${node.id} leads term ${node.term}, and heard from no majority for ${current.ticks - heard} ticks`,
  );
}

export function trace(world: World, node: SimulatedNode, code: number, value: number, line: () => string): void {
  world.trace(code, node.slot, value, () => `${node.id} ${line()}`);
}

/** A number for the trace's hash. */
function eventCode(event: RaftEvent): number {
  let code = event.kind.length * 7;
  if ("term" in event) code += event.term * 1009;
  if ("to" in event && typeof event.to === "number") code += event.to * 31;
  if ("index" in event) code += event.index * 17;
  return code;
}
