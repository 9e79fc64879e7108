import { emptyImage } from "@tidemark/metadata";
import { expect, test } from "vitest";
import { createThreeEtcds } from "../testing/three-etcds.ts";
import type { FaultWorld } from "./fault-kinds.ts";
import { startNemesis } from "./nemesis.ts";

/** Three machines and a nemesis that does nothing by itself. */
function createMachines() {
  const { engine, random, cluster } = createThreeEtcds();
  const world = { engine, cluster, random: random.stream("nemesis"), image: () => emptyImage };
  const nemesis = startNemesis(world as unknown as FaultWorld, { kinds: [], scenarios: [], pauseMs: 1e9 });
  const runningOf = () => cluster.etcds.filter(({ process }) => process !== undefined).map(({ name }) => name);
  return { cluster, nemesis, runningOf };
}

test("a machine outside of the core stays down, though a supervisor or a fault that ends late starts it", () => {
  const { cluster, nemesis, runningOf } = createMachines();
  const outside = cluster.etcds.slice(0, 1);
  nemesis.heal(new Set(outside));
  expect(runningOf()).toEqual(["etcd-2", "etcd-3"]);
  for (const node of cluster.etcds) node.boot();
  expect(runningOf()).toEqual(["etcd-2", "etcd-3"]);
  nemesis.heal();
  expect(runningOf()).toEqual(["etcd-1", "etcd-2", "etcd-3"]);
});
