import { join } from "node:path/posix";
import { ConsensusError } from "@tidemark/consensus";
import { readWholeFile } from "@tidemark/disk";
import { createManualTime } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { RaftOpenError } from "../storage/errors.ts";
import { isOwnFile } from "../storage/layout.ts";
import { createManualCluster } from "../testing/manual-cluster.ts";
import { createMemoryPlaces } from "../testing/memory-places.ts";
import type { NodeHome } from "../testing/raft-cluster.ts";

/** Of a node that is down. */
async function copyOf({ attach, directory }: NodeHome): Promise<ReadonlyMap<string, Uint8Array>> {
  const disk = attach();
  const copy = new Map<string, Uint8Array>();
  for (const { name } of await disk.list(directory)) {
    if (isOwnFile(name)) copy.set(name, await readWholeFile(disk, join(directory, name)));
  }
  return copy;
}

async function restore({ attach, directory }: NodeHome, copy: ReadonlyMap<string, Uint8Array>): Promise<void> {
  const disk = attach();
  for (const { name } of await disk.list(directory)) if (isOwnFile(name)) await disk.remove(join(directory, name));
  for (const [name, bytes] of copy) {
    const file = await disk.create(join(directory, name));
    await file.write(0, [bytes]);
    await file.sync();
    await file.close();
  }
  await disk.syncDirectory(directory);
}

/** Three candidates of whom the third is down, with a copy of its directory that is older by some entries. */
async function behindByAFewEntries() {
  const time = createManualTime();
  const places = createMemoryPlaces(time.scheduler);
  const cluster = await createManualCluster({ time, places });
  const [first] = await cluster.joinAll();
  cluster.kill(3);
  const copy = await copyOf(places.home(3));
  await cluster.restartNode(3);
  for (const n of [1, 2, 3]) await cluster.settled(first.append("/test/a", String(n)));
  const last = () => cluster.stores().get(3)?.node.raft.status().flushed;
  const goal = cluster.stores().get(1)?.node.raft.status().committed ?? 0;
  await cluster.until(() => (last() ?? 0) >= goal, "the third has them");
  await cluster.wait(500);
  cluster.kill(3);
  return { cluster, first, home: places.home(3), copy };
}

describe("a voter whose directory is restored from an older copy", () => {
  it("42 ends with a word as soon as the leader says how far it was, and no node starts from the directory again", async () => {
    const { cluster, first, home, copy } = await behindByAFewEntries();
    await restore(home, copy);
    const third = await cluster.start(3);
    const joining = cluster.settled(third.join(cluster.identity(3)));
    await expect(joining).rejects.toBeInstanceOf(ConsensusError);
    const node = cluster.stores().get(3)?.node;
    expect(node?.failure()).toMatch(/^DAMAGED: entries up to \d+ had been flushed here, and the log ends at \d+: /);
    cluster.kill(3);
    const again = cluster.restartNode(3);
    await expect(again).rejects.toMatchObject({ code: "DAMAGED", message: expect.stringMatching(/Replace/) as string });
    await expect(again).rejects.toBeInstanceOf(RaftOpenError);
    expect((await cluster.settled(first.append("/test/b", "1"))).kind).toBe("committed");
    await cluster.close();
  });

  it("42 is not counted meanwhile: where the other is away, nothing is committed", async () => {
    const { cluster, first, home, copy } = await behindByAFewEntries();
    cluster.kill(2);
    await restore(home, copy);
    await cluster.restartNode(3);
    expect((await cluster.settled(first.append("/test/b", "1"))).kind).toBe("unknown");
    await cluster.wait(20_000);
    expect(cluster.stores().get(3)?.node.failure()).toMatch(/^DAMAGED/);
    await cluster.restartNode(2);
    await cluster.until(() => first.belief().kind === "leading", "the two that have everything go on");
    await cluster.close();
  });

  it("42 and that lacks nothing goes on", async () => {
    const { cluster, first, home } = await behindByAFewEntries();
    await restore(home, await copyOf(home));
    await cluster.restartNode(3);
    cluster.kill(2);
    expect((await cluster.settled(first.append("/test/b", "1"))).kind).toBe("committed");
    await cluster.close();
  });
});
