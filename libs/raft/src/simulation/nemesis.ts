/** What goes wrong: one fault after another, overlapping, each with an end. */

import { membershipOf } from "../checks/log-image.ts";
import { blankStart } from "../start-state.ts";
import { imageOf } from "./disk.ts";
import type { CrashPoint, SimulatedNode } from "./node.ts";
import type { FaultKind } from "./plan.ts";
import { tickMs, type World } from "./world.ts";

const crashPoints: readonly CrashPoint[] = ["beforeWrite", "sentOnly", "writtenOnly", "beforeApply"];

/** Makes faults until the run calms down. */
export function startNemesis(world: World): void {
  const { queue, draw, plan } = world;
  const next = () => {
    if (world.calm) return;
    const kind = draw.pick(plan.faults);
    if (kind !== undefined && makeFault(world, kind)) count(world, kind);
    queue.after(draw.between(100, plan.faultGapMs), next);
  };
  queue.after(draw.between(500, 2500), next);
}

/** Lets a voter die a moment after its vote, and come back while the election still goes on. */
export function strikeVoter(world: World, voter: SimulatedNode): void {
  const { life } = voter;
  world.queue.after(world.draw.between(0, 2 * world.plan.delayMsMax), () => {
    if (world.calm || voter.life !== life || voter.raft === undefined) return;
    crash(world, voter, world.draw.between(1, 50));
    count(world, "crash");
  });
}

/** Strikes a leader while its messages are on their way, so that they reach only some. */
export function strike(world: World, leader: SimulatedNode): void {
  const { draw, plan, queue } = world;
  queue.after(draw.between(0, 4 * plan.delayMsMax), () => {
    if (world.calm || leader.role !== "leader") return;
    const lengthMs = draw.between(300, 3000);
    const { slot } = leader;
    switch (draw.between(0, 2)) {
      case 0:
        crash(world, leader, lengthMs);
        return count(world, "crash");
      case 1:
        cutWhere(world, lengthMs, (from, to) => (from === slot) !== (to === slot));
        return count(world, "isolateLeader");
      default: {
        // A minority stays with it.
        const side = new Set([slot, draw.pick(world.nodes)?.slot, draw.pick(world.nodes)?.slot]);
        cutWhere(world, lengthMs, (from, to) => side.has(from) !== side.has(to));
        return count(world, "partition");
      }
    }
  });
}

function count(world: World, kind: FaultKind): void {
  world.trace(20, kind.length, world.queue.now(), () => `fault ${kind}`);
  world.counts.faults.set(kind, (world.counts.faults.get(kind) ?? 0) + 1);
}

/** False when the fault cannot be made now. */
function makeFault(world: World, kind: FaultKind): boolean {
  const { draw, plan, queue } = world;
  const lengthMs = draw.between(100, plan.faultLengthMs);
  const later = (undo: () => void) => queue.after(lengthMs, undo);
  const running = world.nodes.filter((node) => node.raft !== undefined);
  const victim = draw.chance(0.4) ? running.find((node) => node.role === "leader") : draw.pick(running);
  if (victim === undefined) return false;
  switch (kind) {
    case "crash":
      return crash(world, victim, lengthMs);
    case "crashBetween":
      victim.crashPoint = draw.pick(crashPoints);
      later(() => victim.start());
      later(() => (victim.crashPoint = undefined));
      return true;
    case "crashAll":
      for (const node of running) crash(world, node, draw.between(50, 500));
      return true;
    case "pause":
      victim.pause();
      later(() => victim.resume());
      return true;
    case "partition": {
      const side = new Set(world.nodes.filter(() => draw.chance(0.5)).map((node) => node.slot));
      return cutWhere(world, lengthMs, (from, to) => side.has(from) !== side.has(to));
    }
    case "isolateLeader":
      return cutWhere(world, lengthMs, (from, to) => from === victim.slot || to === victim.slot);
    case "oneWayCut": {
      const outward = draw.chance(0.5);
      const other = draw.chance(0.5) ? draw.pick(world.nodes)?.slot : undefined;
      return cutWhere(world, lengthMs, (from, to) => {
        const [here, there] = outward ? [from, to] : [to, from];
        return here === victim.slot && (other === undefined || there === other);
      });
    }
    case "loss":
      world.network.lossShare = draw.between(2, 40) / 100;
      later(() => (world.network.lossShare = 0));
      return true;
    case "delay":
      world.network.extraDelayMsMax = draw.between(50, 1500);
      later(() => (world.network.extraDelayMsMax = 0));
      return true;
    case "doubling":
      world.network.doubleShare = draw.between(10, 60) / 100;
      later(() => (world.network.doubleShare = 0));
      return true;
    case "slowDisk":
      victim.slowDisk = true;
      later(() => (victim.slowDisk = false));
      return true;
    case "lostDisk":
      return loseDisk(world, victim);
  }
}

function crash(world: World, node: SimulatedNode, lengthMs: number): boolean {
  const { id } = node;
  node.crash();
  world.queue.after(lengthMs, () => node.start());
  tellRefused(world, node, id);
  return true;
}

/** Some peers find that the port refuses connections, if it still does. */
function tellRefused(world: World, gone: SimulatedNode, id: SimulatedNode["id"]): void {
  for (const peer of world.nodes) {
    if (peer === gone || !world.draw.chance(0.6)) continue;
    world.queue.after(world.draw.between(1, tickMs), () => {
      if (gone.raft !== undefined || world.network.isCut(peer.slot, gone.slot)) return;
      peer.act((raft) => raft.peerRefused(id));
    });
  }
}

function cutWhere(world: World, lengthMs: number, isCut: (from: number, to: number) => boolean): boolean {
  const links: (readonly [number, number])[] = [];
  for (const { slot: from } of world.nodes) {
    for (const { slot: to } of world.nodes) if (from !== to && isCut(from, to)) links.push([from, to]);
  }
  for (const [from, to] of links) world.network.cut(from, to);
  world.queue.after(lengthMs, () => {
    for (const [from, to] of links) {
      world.network.heal(from, to);
      const peer = world.nodes[to]?.id;
      if (peer !== undefined) world.nodes[from]?.act((raft) => raft.peerUnreachable(peer));
    }
  });
  return links.length > 0;
}

/**
 * One disk at a time, of three voters or more, while no membership change is anywhere under way: more than that no
 * majority survives.
 */
function loseDisk(world: World, victim: SimulatedNode): boolean {
  const { membership } = victim;
  if (world.lost !== undefined || membership.voters.length < 3) return false;
  if (!membership.voters.some((voter) => voter.id === victim.id)) return false;
  const members = world.nodes.filter((node) => membership.voters.some((voter) => voter.id === node.id));
  if (members.length < membership.voters.length) return false;
  for (const { disk } of members) {
    if (membershipOf(disk.written) !== membership || membershipOf(disk.durable) !== membership) return false;
  }
  const lostId = victim.id;
  const { draw, queue } = world;
  // Somebody may have copied the file with the old id to the new disk.
  const broken = world.guards.emptyDiskNeverVotes === false;
  const keepsId = broken || draw.chance(0.5);
  const newId = world.freshId(victim.slot);
  victim.replaceDisk(keepsId ? lostId : newId, imageOf(blankStart));
  queue.after(draw.between(50, 1000), () => victim.start());
  if (broken) return true;
  world.lost = { lostId, newId, slot: victim.slot };
  if (keepsId) {
    queue.after(draw.between(1000, 4000), () => {
      victim.replaceDisk(newId, imageOf(blankStart));
      victim.start();
    });
  }
  return true;
}
