import { below, pick } from "@tidemark/runtime";
import { directoryOf } from "../quorum/format-quorum.ts";
import { type FaultEnd, type FaultWorld, lengthMs } from "./fault-kinds.ts";

/** What befalls the disks on which controllers keep the metadata. */
export const quorumFaultKinds = {
  stallControllerDisk,
  fillControllerDisk,
  failControllerFlush,
  loseControllerDisk,
} as const;

function stallControllerDisk({ random, cluster, engine }: FaultWorld): FaultEnd | undefined {
  const node = pick(random, cluster.controllers);
  if (node === undefined) return undefined;
  const lastsMs = lengthMs(random, 20, 8000);
  node.device.faults.stalledUntilMs = engine.nowMs + lastsMs;
  return { text: `disk of ${node.name} stands still`, lastsMs, end: () => undefined };
}

function fillControllerDisk({ random, cluster }: FaultWorld): FaultEnd | undefined {
  const node = pick(random, cluster.controllers);
  if (node === undefined) return undefined;
  const { faults, memory } = node.device;
  faults.capacity = memory.usedBytes() + below(random, 4096);
  const end = () => {
    faults.capacity = Number.POSITIVE_INFINITY;
  };
  return { text: `disk of ${node.name} is full`, lastsMs: lengthMs(random, 100, 10_000), end };
}

function failControllerFlush({ random, cluster }: FaultWorld): FaultEnd | undefined {
  const node = pick(random, cluster.controllers);
  if (node === undefined) return undefined;
  const { faults } = node.device;
  faults.failedSyncs = 0.05 + 0.5 * random.next();
  const end = () => {
    faults.failedSyncs = 0;
  };
  return { text: `flushes of ${node.name} fail`, lastsMs: lengthMs(random, 100, 5000), end };
}

/** A voter comes back with an empty disk: as somebody new, whom the operator has to add. */
function loseControllerDisk({ random, cluster, quorum }: FaultWorld): FaultEnd | undefined {
  const voters = quorum?.keeper.mayLose() === true ? quorum.watch.settledMembership()?.voters : undefined;
  const node = pick(
    random,
    cluster.controllers.filter((each) => voters?.some(({ id }) => id === directoryOf(each))),
  );
  if (node === undefined) return undefined;
  node.kill();
  node.device.lose();
  return { text: `lose the disk of ${node.name}`, lastsMs: lengthMs(random, 100, 15_000), end: () => node.boot() };
}
