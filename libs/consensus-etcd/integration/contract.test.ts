import { describeConsensusContract } from "@tidemark/consensus/contract";
import { createNodeRuntime } from "@tidemark/runtime";
import { type EtcdProcesses, startEtcd } from "@tidemark/testkit/etcd";
import { afterAll, beforeAll } from "vitest";
import { etcdMembers } from "../src/node/etcd3-stubs.ts";
import { createEtcdCluster } from "../src/testing/contract-cluster.ts";

const runtime = createNodeRuntime();
let etcd: EtcdProcesses;
let clusters = 0;

beforeAll(async () => {
  etcd = await startEtcd({ members: 1 });
});

afterAll(() => etcd.stop());

describeConsensusContract("real etcd", async () => {
  clusters += 1;
  return createEtcdCluster({
    runtime,
    settings: { prefix: `/contract/${clusters}`, leaseMs: 2_000, renewalMs: 500, compaction: undefined },
    etcd: {
      members: etcdMembers({ endpoints: etcd.endpoints, clock: runtime.clock, callTimeoutMs: 5_000 }),
      powerCut: () => etcd.powerCut(),
    },
  });
});
