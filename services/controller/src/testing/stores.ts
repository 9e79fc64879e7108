/** The stores on which the same scenarios of controllers run: three candidates each, under manual time. */
import { crc32c } from "@tidemark/compression";
import { createConsensusTwin } from "@tidemark/consensus";
import type { ConsensusCluster } from "@tidemark/consensus/contract";
import { createSingleCluster } from "@tidemark/consensus/testing";
import { createSimulatedEtcd } from "@tidemark/consensus-etcd/simulated";
import { createEtcdCluster } from "@tidemark/consensus-etcd/testing";
import { createMemoryPlaces, createRaftCluster } from "@tidemark/consensus-raft/testing";
import type { ManualTime, Runtime } from "@tidemark/runtime";
import { createWorldOn, type World } from "./world.ts";

interface Surroundings {
  readonly runtime: Runtime;
  readonly time: ManualTime;
}

/** A turn of the stores that need time to go on, in milliseconds. */
const turnMs = 5;

const stores = {
  "in-memory twin": ({ runtime }) => createConsensusTwin({ runtime }),
  single: ({ runtime }) => createSingleCluster(runtime, crc32c),
  raft: ({ runtime, time }) =>
    createRaftCluster({
      runtime,
      places: createMemoryPlaces(time.scheduler),
      turn: () => time.advance(turnMs),
      patienceMs: 60_000,
      electsAtOnce: true,
    }),
  "simulated etcd": openSimulatedEtcd,
} satisfies Record<string, (of: Surroundings) => Promise<ConsensusCluster>>;

async function openSimulatedEtcd({ runtime, time }: Surroundings): Promise<ConsensusCluster> {
  const etcd = createSimulatedEtcd({ runtime, latencyMs: 1 });
  const cluster = createEtcdCluster({
    runtime,
    settings: { prefix: "/tidemark", leaseMs: 2000, renewalMs: 500, compaction: undefined },
    etcd: { members: etcd.members, powerCut: async () => etcd.powerCut() },
    turn: () => time.advance(turnMs),
  });
  return {
    ...cluster,
    async close() {
      await cluster.close();
      etcd.close();
    },
  };
}

/** Each backend by its name, with how a world on it is opened. */
export const backends: readonly (readonly [name: string, open: () => Promise<World>])[] = Object.entries(stores).map(
  ([name, open]) => [name, () => createWorldOn(open)],
);
