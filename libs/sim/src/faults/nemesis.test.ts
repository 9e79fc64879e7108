import { loadCodecs } from "@tidemark/compression";
import { emptyImage } from "@tidemark/metadata";
import { expect, test } from "vitest";
import { createSimCluster } from "../cluster/cluster.ts";
import { createEngine } from "../engine/engine.ts";
import { createRandomTree } from "../engine/random-tree.ts";
import type { FaultWorld } from "./fault-kinds.ts";
import { startNemesis } from "./nemesis.ts";

const { codecs } = await loadCodecs();

/** Three machines and a nemesis that does nothing by itself. */
function createMachines() {
  const engine = createEngine();
  const random = createRandomTree(1);
  const cluster = createSimCluster(engine, random, {
    backend: "etcd",
    etcds: 3,
    controllers: 0,
    brokers: 0,
    gateways: 0,
    settings: { controller: {}, broker: {}, gateway: {} },
    link: { delayMs: 0.2, jitterMs: 0.5 },
    clockDriftMax: 0,
    codecs,
    wallStartMs: 0,
    controllerExperimentOn: () => ({}),
    experimentOn: () => ({}),
    quorumExperimentOn: () => ({}),
    onEnd: () => undefined,
    onRevision: () => undefined,
    onExit: () => undefined,
  });
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
