import { createNodeRuntime } from "@tidemark/runtime";
import { waitFor } from "@tidemark/testkit";
import { type EtcdProcesses, startEtcd } from "@tidemark/testkit/etcd";
import { afterAll, beforeAll } from "vitest";
import { etcdMembers } from "../src/index.ts";
import { describeEtcdBehaviour } from "../src/testing/behaviour/index.ts";
import { setSpaceAlarm } from "./space-alarm.ts";

const { clock } = createNodeRuntime();
let etcd: EtcdProcesses;
let tests = 0;

beforeAll(async () => {
  // Elections of one second: leases of two at the least, as etcd is by itself.
  etcd = await startEtcd({ members: 1, flags: ["--heartbeat-interval=100", "--election-timeout=1000"] });
});

afterAll(() => etcd.stop());

describeEtcdBehaviour("real", async () => {
  tests += 1;
  const [endpoint = ""] = etcd.endpoints;
  const stubs = etcdMembers({ endpoints: etcd.endpoints, clock, callTimeoutMs: 10_000 }).connect(endpoint);
  return {
    stubs,
    prefix: `/behaviour/${tests}/`,
    ttlSecondsMin: 2,
    async until(condition, what) {
      // Most of them hold in a moment, and there are thousands.
      for (let turn = 0; turn < 1_000 && !condition(); turn++) await new Promise(setImmediate);
      await waitFor(what, condition);
    },
    powerCut: () => etcd.powerCut(),
    setFull: (isFull) => setSpaceAlarm(endpoint, isFull),
    close: async () => stubs.close(),
  };
});
