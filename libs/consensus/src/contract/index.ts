import { describe } from "vitest";
import type { CreateCluster } from "./cluster.ts";
import { describeLeadership } from "./rows/leadership.ts";
import { describeOrder } from "./rows/order.ts";
import { describeWatch } from "./rows/watch.ts";

export {
  type CandidateNumber,
  type ConsensusCluster,
  type CreateCluster,
  candidateNumbers,
  type LateWrite,
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
  });
}
