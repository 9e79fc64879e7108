import { createManualTime, createSeededRandom } from "@tidemark/runtime";
import { describeEtcdBehaviour, describeEtcdMembersBehaviour } from "../testing/behaviour/index.ts";
import { createSimulatedEtcd, type SimulatedEtcdOptions } from "./simulated-etcd.ts";

function createEtcd(options: Pick<SimulatedEtcdOptions, "members" | "ttlSecondsMin">) {
  const time = createManualTime();
  const etcd = createSimulatedEtcd({ ...options, runtime: { ...time, random: createSeededRandom(1) } });
  const until = async (condition: () => boolean, what: string) => {
    for (let turn = 0; !condition(); turn++) {
      if (turn > 10_000) throw new Error(`Not reached: ${what}`);
      await time.advance(5);
    }
  };
  return { time, etcd, until };
}

describeEtcdBehaviour("simulated", async () => {
  const { etcd, until } = createEtcd({ ttlSecondsMin: 2 });
  const [endpoint = ""] = etcd.members.endpoints;
  const stubs = etcd.members.connect(endpoint);
  return {
    stubs,
    prefix: "/behaviour/",
    ttlSecondsMin: 2,
    until,
    powerCut: async () => etcd.powerCut(),
    setFull: async (isFull) => etcd.setFull(isFull),
    async close() {
      stubs.close();
      etcd.close();
    },
  };
});

describeEtcdMembersBehaviour("simulated", async () => {
  const { time, etcd, until } = createEtcd({ members: 3, ttlSecondsMin: 1 });
  return {
    prefix: "/behaviour/",
    ttlSecondsMin: 1,
    until,
    connect: (member) => etcd.members.connect(etcd.members.endpoints[member - 1] ?? ""),
    // None is told from the others.
    leader: async () => 1,
    async giveUp(stubs, calls) {
      await time.advance(1_000);
      stubs.close();
      await Promise.allSettled(calls);
    },
    freeze: (member) => etcd.freeze(member),
    thaw: async (member) => etcd.thaw(member),
    isolate: (member) => etcd.isolate(member),
    async kill(member) {
      etcd.stop(member);
      etcd.loseLeader(1_000);
      await time.advance(1_500);
    },
    close: async () => etcd.close(),
  };
});
