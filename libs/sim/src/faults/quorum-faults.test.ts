import { createMemoryDisk } from "@tidemark/disk";
import { createSeededRandom } from "@tidemark/runtime";
import { expect, test } from "vitest";
import { metadataDirectory } from "../cluster/roles.ts";
import type { FaultWorld } from "./fault-kinds.ts";
import { quorumFaultKinds } from "./quorum-faults.ts";

/** What happens to controllers of which so many vote, where the operator finds nothing to mind. */
async function loseOneOf(voters: number): Promise<string[]> {
  const lost: string[] = [];
  const node = async (index: number) => {
    const memory = createMemoryDisk();
    await memory.makeDirectory("/data");
    await memory.makeDirectory(metadataDirectory);
    memory.put(`${metadataDirectory}/meta.properties`, new TextEncoder().encode(`directory.id=${idOf(index)}\n`));
    const name = `controller-${index + 1}`;
    return { name, kill: () => undefined, boot: () => undefined, device: { memory, lose: () => lost.push(name) } };
  };
  const controllers = await Promise.all(Array.from({ length: voters }, (_, index) => node(index)));
  const membership = { voters: controllers.map((_, index) => ({ id: idOf(index) })) };
  const quorum = { keeper: { mayLose: () => true }, watch: { settledMembership: () => membership } };
  const world = { random: createSeededRandom(1), cluster: { controllers }, quorum };
  quorumFaultKinds.loseControllerDisk(world as unknown as FaultWorld);
  return lost;
}

const idOf = (index: number) => `dddddddd-0000-4000-8000-00000000000${index}`;

/** Seed 3200504 (raft): a controller that had been removed, and had not heard of it, told the operator of three voters. */
test("no voter of two loses its disk, whatever the operator was told", async () => {
  expect(await loseOneOf(3)).toHaveLength(1);
  expect(await loseOneOf(2)).toEqual([]);
});
