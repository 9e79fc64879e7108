import { createManualTime, createSeededRandom } from "@tidemark/runtime";
import { describeEtcdBehaviour } from "../testing/behaviour.ts";
import { createSimulatedEtcd } from "./simulated-etcd.ts";

describeEtcdBehaviour("simulated", async () => {
  const time = createManualTime();
  const etcd = createSimulatedEtcd({ runtime: { ...time, random: createSeededRandom(1) }, ttlSecondsMin: 2 });
  const [endpoint = ""] = etcd.members.endpoints;
  const stubs = etcd.members.connect(endpoint);
  return {
    stubs,
    prefix: "/behaviour/",
    ttlSecondsMin: 2,
    async until(condition, what) {
      for (let turn = 0; !condition(); turn++) {
        if (turn > 10_000) throw new Error(`Not reached: ${what}`);
        await time.advance(5);
      }
    },
    powerCut: async () => etcd.powerCut(),
    setFull: async (isFull) => etcd.setFull(isFull),
    async close() {
      stubs.close();
      etcd.close();
    },
  };
});
