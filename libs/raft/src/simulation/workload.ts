/**
 * Proposals, reads, handovers and membership changes, by everybody who believes to lead, whether right or wrong. Voters
 * are removed by force: what keeps a cluster from losing its majority shall not keep its promises.
 */

import { membershipOf } from "../checks/log-image.ts";
import type { NodeId } from "../ids.ts";
import { isLearner, isVoter, type MembershipChange } from "../membership.ts";
import { blankStart } from "../start-state.ts";
import { imageOf, knownMemberships } from "./disk.ts";
import type { SimulatedNode } from "./node.ts";
import type { World } from "./world.ts";

const votersMax = 5;

/** Keeps clients busy until `untilMs`; who operates the cluster goes on replacing a lost disk after that. */
export function startWorkload(world: World, untilMs: () => number): void {
  const { queue, draw, plan } = world;
  let proposals = 0;
  const every = (gapMs: number, run: () => void) => {
    if (gapMs === 0) return;
    const again = () => {
      if (queue.now() >= untilMs()) return;
      run();
      queue.after(draw.between(1, 2 * gapMs), again);
    };
    queue.after(draw.between(1, gapMs), again);
  };
  every(plan.proposalGapMs, () => {
    const burst = draw.chance(0.1) ? draw.between(2, 10) : 1;
    for (const leader of leaders(world)) {
      for (let left = burst; left > 0; left--) {
        proposals++;
        const data = Uint8Array.of(proposals & 0xff, (proposals >> 8) & 0xff);
        leader.act((raft) => void raft.propose(data));
      }
    }
  });
  every(plan.readGapMs, () => draw.pick(world.nodes)?.read());
  every(plan.transferGapMs, () => {
    const leader = draw.pick(leaders(world));
    const heir = draw.pick(leader?.membership.voters ?? []);
    if (heir !== undefined) leader?.act((raft) => void raft.transferLeadership(heir.id));
  });
  every(plan.changeGapMs, () => {
    const leader = draw.pick(leaders(world));
    if (leader !== undefined) changeMembership(world, leader);
  });
}

export function changeMembership(world: World, leader: SimulatedNode): void {
  const change = replacement(world, leader) ?? drawChange(world, leader);
  if (change !== undefined) leader.act((raft) => void raft.proposeMembership(change));
}

function leaders(world: World): SimulatedNode[] {
  return world.nodes.filter((node) => node.role === "leader");
}

/** The next step of replacing a lost disk. */
function replacement(world: World, leader: SimulatedNode): MembershipChange | undefined {
  const { lost } = world;
  if (lost === undefined) return undefined;
  const { membership } = leader;
  if (isVoter(membership, lost.lostId)) return { kind: "remove", id: lost.lostId, force: true };
  if (isLearner(membership, lost.newId)) return { kind: "promote", id: lost.newId };
  if (isVoter(membership, lost.newId)) {
    if (everyDiskHas(world, leader)) world.lost = undefined;
    return undefined;
  }
  return { kind: "addLearner", member: { id: lost.newId, address: `slot ${String(lost.slot)}` } };
}

function everyDiskHas(world: World, { membership }: SimulatedNode): boolean {
  return world.nodes
    .filter((node) => isVoter(membership, node.id))
    .every(({ disk }) => membershipOf(disk.durable) === membership);
}

function drawChange(world: World, { membership }: SimulatedNode): MembershipChange | undefined {
  const { draw } = world;
  const { voters, learners } = membership;
  const learner = draw.pick(learners);
  if (learner !== undefined && draw.chance(0.8)) {
    return voters.length < votersMax && draw.chance(0.9)
      ? { kind: "promote", id: learner.id }
      : { kind: "remove", id: learner.id };
  }
  const voter = draw.pick(voters);
  const fewest = draw.chance(0.2) ? 2 : 3;
  if (voter !== undefined && voters.length > fewest && draw.chance(0.5)) {
    return { kind: "remove", id: voter.id, force: true };
  }
  const outsider = draw.pick(
    world.nodes.filter((node) => !isVoter(membership, node.id) && !isLearner(membership, node.id)),
  );
  if (outsider === undefined) return undefined;
  prepare(world, outsider);
  return { kind: "addLearner", member: { id: outsider.id, address: `slot ${String(outsider.slot)}` } };
}

/** Whoever left comes back with its old disk, or with an empty one and a new id where nobody counts on the old one. */
function prepare(world: World, outsider: SimulatedNode): void {
  if (world.draw.chance(0.5) && !isCountedOn(world, outsider.id)) {
    outsider.replaceDisk(world.freshId(outsider.slot), imageOf(blankStart));
  }
  outsider.start();
}

/** Whether any membership that some disk still knows has `id` in it: it may come back into force. */
function isCountedOn(world: World, id: NodeId): boolean {
  return world.nodes.some(
    ({ disk, id: own }) =>
      own !== id &&
      [disk.written, disk.durable].some((image) =>
        knownMemberships(image).some((known) => isVoter(known, id) || isLearner(known, id)),
      ),
  );
}
