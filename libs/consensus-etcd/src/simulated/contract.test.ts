import { describeConsensusContract } from "@tidemark/consensus/contract";
import { createManualTime, createSeededRandom } from "@tidemark/runtime";
import { createEtcdCluster } from "../testing/contract-cluster.ts";
import { createSimulatedEtcd } from "./simulated-etcd.ts";

describeConsensusContract("simulated etcd", async () => {
  const time = createManualTime();
  const runtime = { ...time, random: createSeededRandom(1) };
  const etcd = createSimulatedEtcd({ runtime, latencyMs: 1 });
  const cluster = createEtcdCluster({
    runtime,
    settings: { prefix: "/contract", leaseMs: 2_000, renewalMs: 500, compaction: undefined },
    etcd: { members: etcd.members, powerCut: async () => etcd.powerCut() },
    turn: () => time.advance(5),
  });
  return {
    ...cluster,
    async close() {
      await cluster.close();
      etcd.close();
    },
  };
});
