import { type CandidateNumber, describeMinorityLossContract } from "@tidemark/consensus/contract";
import { createNodeRuntime } from "@tidemark/runtime";
import { type EtcdMember, startEtcd } from "@tidemark/testkit/etcd";
import { etcdMembers } from "../src/index.ts";
import { createEtcdCluster } from "../src/testing/contract-cluster.ts";

const runtime = createNodeRuntime();

describeMinorityLossContract("three real etcd members", async () => {
  const etcd = await startEtcd({ members: 3 });
  const memberOf = (candidate: CandidateNumber): EtcdMember => {
    const member = etcd.members[candidate - 1];
    if (member === undefined) throw new Error(`There is no member ${candidate}`);
    return member;
  };
  const cluster = createEtcdCluster({
    runtime,
    settings: { prefix: "/lost", leaseMs: 2_000, renewalMs: 500, compaction: undefined },
    etcd: {
      members: etcdMembers({ endpoints: etcd.endpoints, clock: runtime.clock, callTimeoutMs: 5_000 }),
      powerCut: () => etcd.powerCut(),
    },
  });
  return {
    ...cluster,
    async loseMachine(candidate) {
      cluster.kill(candidate);
      await etcd.lose(memberOf(candidate));
    },
    replaceMachine: (candidate) => etcd.replace(memberOf(candidate)),
    async close() {
      await cluster.close();
      await etcd.stop();
    },
  };
});
