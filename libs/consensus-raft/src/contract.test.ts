import { describeConsensusContract, describeMinorityLoss } from "@tidemark/consensus/contract";
import { createManualTime, createSeededRandom } from "@tidemark/runtime";
import { createMemoryPlaces } from "./testing/memory-places.ts";
import { createRaftCluster } from "./testing/raft-cluster.ts";

/** Moved on by TIDEMARK_TEST_FIRST_SEED, to see other orders of things. */
// eslint-disable-next-line no-restricted-properties -- settings of a test run, not of a process
let seed = Number(process.env["TIDEMARK_TEST_FIRST_SEED"] ?? 0);

function createCluster() {
  const time = createManualTime();
  seed += 1;
  return createRaftCluster({
    runtime: { ...time, random: createSeededRandom(seed) },
    places: createMemoryPlaces(time.scheduler),
    turn: () => time.advance(10),
    patienceMs: 60_000,
  });
}

describeConsensusContract("raft, in memory and under manual time", createCluster);
describeMinorityLoss("raft, in memory and under manual time", createCluster);
