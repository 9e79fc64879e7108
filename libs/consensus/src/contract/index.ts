import { describe } from "vitest";
import type { CreateCluster } from "./cluster.ts";
import { describeDamage } from "./rows/damage.ts";
import { describeDurability } from "./rows/durability.ts";
import { describeEphemeral } from "./rows/ephemeral.ts";
import { describeFencing } from "./rows/fencing.ts";
import { describeLeadership } from "./rows/leadership.ts";
import { describeLimits } from "./rows/limits.ts";
import { describeMembers } from "./rows/members.ts";
import { describeOrder } from "./rows/order.ts";
import { describeSealing } from "./rows/sealing.ts";
import { describeWatch } from "./rows/watch.ts";

export {
  type CandidateNumber,
  type ConsensusCluster,
  type CreateCluster,
  candidateNumbers,
  type LateWrite,
} from "./cluster.ts";
export { describeMinorityLoss, type MemberCluster } from "./minority.ts";
export { type Watched, watchProcess } from "./watched.ts";

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
