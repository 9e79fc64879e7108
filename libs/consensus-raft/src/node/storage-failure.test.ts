import { crc32c } from "@tidemark/compression";
import { ConsensusError } from "@tidemark/consensus";
import { createFaultDisk, createMemoryDisk, type FaultPlan, scriptedFaults } from "@tidemark/disk";
import { createManualTime, createSeededRandom } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { openRaftStore } from "../open.ts";
import { formatDirectory } from "../storage/format.ts";
import { createManualCluster } from "../testing/manual-cluster.ts";
import { createMemoryNetwork } from "../testing/memory-network.ts";
import { identityOf } from "../testing/raft-cluster.ts";
import type { NodeEvent } from "./events.ts";

describe("a node whose disk failed", () => {
  it("takes nothing more, says so, and never says that what it wrote is flushed", async () => {
    const time = createManualTime();
    const runtime = { ...time, random: createSeededRandom(1) };
    const { directoryId } = identityOf(1);
    const directory = "/data/raft";
    const disk = createFaultDisk(createMemoryDisk(), time);
    const voters = [{ id: directoryId, address: "1@controller-1.test:4651" }];
    await formatDirectory({ disk, directory, crc32c, identity: { directoryId, clusterId: "c" }, voters });
    const events: NodeEvent[] = [];
    const store = await openRaftStore({
      disk,
      directory,
      directoryId,
      clusterId: undefined,
      transport: createMemoryNetwork(time.scheduler).transport(directoryId),
      crc32c,
      runtime,
      onNodeEvent: (event) => events.push(event),
    });
    const consensus = store.candidate();
    const joining = consensus.join(identityOf(1));
    await time.advance(2_000);
    await joining;
    const beliefs = consensus.leadership()[Symbol.asyncIterator]();
    const belief: unknown = (await beliefs.next()).value;
    expect(belief).toMatchObject({ kind: "leading" });
    disk.plan(scriptedFaults([{ kind: "sync", path: "/log-", effect: { kind: "fail", code: "IO" } }]));
    const appending = consensus.append((belief as { epoch: never }).epoch, [{ kind: "delete", key: "/test/a" }]);
    await time.advance(1_000);
    expect(await appending).toMatchObject({ kind: "unknown" });
    expect(events).toContainEqual(expect.objectContaining({ kind: "storageFailed" }));
    await expect(consensus.sync(new AbortController().signal)).rejects.toBeInstanceOf(ConsensusError);
    await consensus.close();
    await store.close();
  });

  it("is said to its candidate also where the disk failed before that had a session", async () => {
    let isFull = false;
    const planOf = (node: number): FaultPlan => {
      return ({ kind }) => (isFull && node === 3 && kind === "write" ? { kind: "hang", ms: 2000 } : undefined);
    };
    const cluster = await createManualCluster({ planOf });
    const first = await cluster.join(1);
    await cluster.until(() => first.belief().kind === "leading", "the first leads");
    await cluster.join(2);
    const third = await cluster.start(3);
    cluster.cut(3);
    await cluster.settled(first.append("/test/a", "1"));
    isFull = true;
    const joining = third.join(cluster.identity(3));
    cluster.heal(3);
    await expect(cluster.settled(joining)).rejects.toBeInstanceOf(ConsensusError);
    await cluster.close();
  });
});
