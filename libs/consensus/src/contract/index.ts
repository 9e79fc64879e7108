import { describe } from "vitest";
import type { CreateCluster, CreateReplicatedCluster } from "./cluster.ts";
import { describeDamage } from "./rows/damage.ts";
import { describeDurability } from "./rows/durability.ts";
import { describeEphemeral } from "./rows/ephemeral.ts";
import { describeFencing } from "./rows/fencing.ts";
import { describeLeadership } from "./rows/leadership.ts";
import { describeLimits } from "./rows/limits.ts";
import { describeLostMachines } from "./rows/lost-machines.ts";
import { describeMembers } from "./rows/members.ts";
import { describeOrder } from "./rows/order.ts";
import { describeSealing } from "./rows/sealing.ts";
import { describeWatch } from "./rows/watch.ts";

export {
  type CandidateNumber,
  type ConsensusCluster,
  type CreateCluster,
  type CreateReplicatedCluster,
  candidateNumbers,
  type LateWrite,
  type ReplicatedCluster,
} from "./cluster.ts";

/**
 * The contract of the consensus interface as tests, grouped by its rows C1 to C12. A backend that passes it is done.
 * `createCluster` makes a fresh store with three candidates for each test.
 */
export function describeConsensusContract(name: string, createCluster: CreateCluster): void {
  describe(`consensus contract: ${name}`, () => {
    describeOrder(createCluster);
    describeWatch(createCluster);
    describeLeadership(createCluster);
    describeFencing(createCluster);
    describeEphemeral(createCluster);
    describeDurability(createCluster);
    describeLimits(createCluster);
    describeDamage(createCluster);
    describeMembers(createCluster);
    describeSealing(createCluster);
  });
}

/**
 * What C8 promises beyond the contract where the store keeps three copies: a minority of machines may be lost for good,
 * disks included. `createCluster` makes a fresh store for each test.
 */
export function describeMinorityLossContract(name: string, createCluster: CreateReplicatedCluster): void {
  describe(`loss of a minority of machines: ${name}`, () => {
    describeLostMachines(createCluster);
  });
}
