import { loadCodecs } from "@tidemark/compression";
import { createSimCluster } from "../cluster/cluster.ts";
import { createEngine } from "../engine/engine.ts";
import { createRandomTree } from "../engine/random-tree.ts";

const { codecs } = await loadCodecs();

/** A cluster of three machines with an etcd each and nothing else, which nobody started yet. */
export function createThreeEtcds() {
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
  return { engine, random, cluster };
}
