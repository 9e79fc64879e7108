import { pick } from "@tidemark/runtime";
import { directoryOf } from "../quorum/format-quorum.ts";
import { type FaultEnd, type FaultWorld, fillDisk, lengthMs, stallDisk } from "./fault-kinds.ts";

/** What befalls the disks on which controllers keep the metadata. */
export const quorumFaultKinds = {
  stallControllerDisk: (world: FaultWorld) => stallDisk(world, world.cluster.controllers),
  fillControllerDisk: (world: FaultWorld) => fillDisk(world, world.cluster.controllers),
  failControllerFlush,
  loseControllerDisk,
} as const;

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

/** Of fewer voters none may lose what it has: the rest would be no majority. */
const votersToLoseOneOf = 3;

/**
 * A voter comes back with an empty disk: as somebody new, whom the operator has to add. How many there are says nobody but
 * the quorum itself: the operator may have asked one that was removed and has not heard of it.
 */
function loseControllerDisk({ random, cluster, quorum }: FaultWorld): FaultEnd | undefined {
  const voters = quorum?.keeper.mayLose() === true ? (quorum.watch.settledMembership()?.voters ?? []) : [];
  if (voters.length < votersToLoseOneOf) return undefined;
  const node = pick(
    random,
    cluster.controllers.filter((each) => voters.some(({ id }) => id === directoryOf(each))),
  );
  if (node === undefined) return undefined;
  node.kill();
  node.device.lose();
  return { text: `lose the disk of ${node.name}`, lastsMs: lengthMs(random, 100, 15_000), end: () => node.boot() };
}
