/** A backlog that no message of the client would hold, to a watch that was away (34f). */
import { type CandidateNumber, type Watched, watchProcess } from "@tidemark/consensus/contract";
import { createNodeRuntime } from "@tidemark/runtime";
import { startEtcd } from "@tidemark/testkit/etcd";
import { expect, it, onTestFinished } from "vitest";
import { etcdMembers } from "../src/index.ts";
import { createEtcdCluster } from "../src/testing/contract-cluster.ts";

const runtime = createNodeRuntime();
/** Of eight values that are as large as may be: 75 MiB, where an answer may have 64 MiB. */
const batches = 150;

it("34f a watch that was away takes up a backlog that is larger than a message may be", async () => {
  const etcd = await startEtcd({ members: 1 });
  const cluster = createEtcdCluster({
    runtime,
    settings: { prefix: "/backlog", leaseMs: 30_000, renewalMs: 1_000, compaction: undefined },
    etcd: {
      members: etcdMembers({ endpoints: etcd.endpoints, clock: runtime.clock, callTimeoutMs: 30_000 }),
      powerCut: () => etcd.powerCut(),
    },
  });
  const watched: Watched[] = [];
  onTestFinished(async () => {
    for (const process of watched) process.stop();
    await cluster.close();
    await etcd.stop();
  });
  const join = async (candidate: CandidateNumber) => {
    const process = watchProcess(candidate, await cluster.start(candidate));
    watched.push(process);
    await process.consensus.join(cluster.identity(candidate));
    return process;
  };

  const leader = await join(1);
  await cluster.until(() => leader.belief().kind === "leading", "the first leads");
  const away = await join(2);
  await cluster.until(() => away.belief().kind === "following", "the second follows it");
  const belief = leader.belief();
  if (belief.kind !== "leading") throw new Error("The leader was lost again");
  cluster.cut(2);
  for (let batch = 0; batch < batches; batch++) {
    const changes = Array.from({ length: 8 }, (_, at) => ({
      kind: "put" as const,
      key: `/test/${at}`,
      value: new Uint8Array(65_000).fill(batch),
    }));
    expect(await leader.consensus.append(belief.epoch, changes)).toMatchObject({ kind: "committed" });
  }
  const last = leader.revision() ?? 0n;
  const read = () => [...away.batches.values()].filter(([change]) => change?.key === "/test/0").length;
  expect(read()).toBe(0);
  cluster.heal(2);
  await cluster.until(() => (away.revision() ?? 0n) >= last, "the second has read all of it");
  // By what it missed, revision by revision, and not by a list of all keys.
  expect(away.snapshots).toHaveLength(1);
  expect(read()).toBe(batches);
  expect(away.tree).toEqual(leader.tree);
  expect(watched.flatMap(({ violations }) => violations)).toEqual([]);
});
