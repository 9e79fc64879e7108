import { describeMinorityLoss } from "@tidemark/consensus/contract";
import { createNodeRuntime } from "@tidemark/runtime";
import { type EtcdMember, startEtcd } from "@tidemark/testkit/etcd";
import { etcdMembers } from "../src/index.ts";
import { createEtcdCluster } from "../src/testing/contract-cluster.ts";

const runtime = createNodeRuntime();

/** One machine has a candidate and a member of etcd: both go with its disk. */
describeMinorityLoss("three real etcd members", async () => {
  const etcd = await startEtcd({ members: 3 });
  const memberOf = (number: number): EtcdMember => {
    const member = etcd.members[number - 1];
    if (member === undefined) throw new Error(`There is no member ${number}`);
    return member;
  };
  const cluster = createEtcdCluster({
    runtime,
    settings: { prefix: "/minority", leaseMs: 2_000, renewalMs: 500, compaction: undefined },
    etcd: {
      members: etcdMembers({ endpoints: etcd.endpoints, clock: runtime.clock, callTimeoutMs: 5_000 }),
      powerCut: () => etcd.powerCut(),
    },
  });
  return {
    ...cluster,
    async loseDisk(member) {
      cluster.kill(member);
      await etcd.lose(memberOf(member));
    },
    replaceMember: (member) => etcd.replace(memberOf(member)),
    async close() {
      await cluster.close();
      await etcd.stop();
    },
  };
});
