import { crc32c } from "@tidemark/compression";
import { createMemoryDisk } from "@tidemark/disk";
import { createManualTime, createSeededRandom } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { openRaftStore } from "../open.ts";
import { formatDirectory } from "../storage/format.ts";
import { createMemoryNetwork } from "../testing/memory-network.ts";
import { identityOf } from "../testing/raft-cluster.ts";
import type { NodeEvent } from "./events.ts";
import { submit } from "./submit.ts";

describe("a log that grows", () => {
  it("is replaced by snapshots again and again, stays small, and is whole after a restart", async () => {
    const time = createManualTime();
    const { directoryId } = identityOf(1);
    const directory = "/data/raft";
    const disk = createMemoryDisk();
    const voters = [{ id: directoryId, address: "1@controller-1.test:4651" }];
    await formatDirectory({ disk, directory, crc32c, identity: { directoryId, clusterId: "c" }, voters });
    const events: NodeEvent[] = [];
    const open = () =>
      openRaftStore({
        disk: disk.attach(),
        directory,
        directoryId,
        clusterId: "c",
        transport: createMemoryNetwork(time.scheduler).transport(directoryId),
        crc32c,
        runtime: { ...time, random: createSeededRandom(1) },
        snapshots: { logBytesMin: 40_000, keepBytes: 10_000 },
        segmentBytes: 8_000,
        onNodeEvent: (event) => events.push(event),
      });
    const store = await open();
    const { signal } = new AbortController();
    let sizeMax = 0;
    for (let n = 0; n < 600; n++) {
      const change = { kind: "put", key: `/test/${n % 10}`, value: new Uint8Array(1_000).fill(n) } as const;
      const request = { guards: [], batches: [[change]] };
      const outcomes: string[] = [];
      submit(store.node, { kind: "request", session: "", request }, signal).then(
        ({ kind }) => outcomes.push(kind),
        (error: unknown) => outcomes.push(String(error)),
      );
      while (outcomes.length === 0) await time.advance(30);
      expect(outcomes).toEqual(["committed"]);
      sizeMax = Math.max(sizeMax, disk.usedBytes());
    }
    expect(events.filter(({ kind }) => kind === "snapshotSaved").length).toBeGreaterThan(3);
    expect(sizeMax).toBeLessThan(120_000);
    disk.kill();
    const again = await open();
    await time.advance(2_000);
    for (let n = 590; n < 600; n++) {
      expect(again.node.replica.get(`/test/${n % 10}`)?.value).toEqual(new Uint8Array(1_000).fill(n));
    }
    await again.close();
  });
});
