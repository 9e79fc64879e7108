import { crc32c } from "@tidemark/compression";
import { createMemoryDisk } from "@tidemark/disk";
import { createManualTime, createSeededRandom } from "@tidemark/runtime";
import { expect, it } from "vitest";
import { openRaftStore } from "../open.ts";
import { createMemoryNetwork } from "../testing/memory-network.ts";
import { identityOf } from "../testing/raft-cluster.ts";
import { formatDirectory } from "./format.ts";

const directory = "/data/raft";
const numbers = [1, 2, 3] as const;
const voters = numbers.map((n) => ({
  id: identityOf(n).directoryId,
  address: `${n}@controller-${n}.test:4651`,
}));
const bytes = (text: string) => new TextEncoder().encode(text);

it("voters that are formatted with metadata hold them all, and go on from them", async () => {
  const time = createManualTime();
  const network = createMemoryNetwork(time.scheduler);
  const given = [["/topics/b", bytes("2")] as const, ["/topics/a", bytes("1")] as const];
  const stores = [];
  for (const [at, { id }] of voters.entries()) {
    const disk = createMemoryDisk();
    // The order in which they are handed over says nothing.
    const entries = new Map(at === 0 ? given : given.toReversed());
    const identity = { directoryId: id, clusterId: "c" };
    await formatDirectory({ disk: disk.attach(), directory, crc32c, identity, voters, entries });
    const transport = network.transport(id);
    const runtime = { ...time, random: createSeededRandom(at) };
    const disks = { disk: disk.attach(), directory, directoryId: id, clusterId: "c" };
    stores.push(await openRaftStore({ ...disks, transport, crc32c, runtime }));
  }
  await time.advance(5000);
  const [first, ...others] = stores;
  const revisions = stores.map(({ node }) => node.replica.revision());
  expect(new Set(revisions).size).toBe(1);
  for (const { node } of stores) {
    expect([...node.replica.entries().keys()].sort()).toEqual(["/topics/a", "/topics/b"]);
    expect(node.replica.get("/topics/b")?.value).toEqual(bytes("2"));
  }
  expect(stores.filter(({ quorum }) => quorum().members.size > 0)).toHaveLength(1);
  await first?.close();
  for (const other of others) await other.close();
});
