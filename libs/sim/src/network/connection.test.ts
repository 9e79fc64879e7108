import { Metadata } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { createEngine } from "../engine/engine.ts";
import { createRandomTree } from "../engine/random-tree.ts";
import { createSimProcess } from "../engine/sim-process.ts";
import { takeTurns } from "../node/process.ts";
import { createConnection } from "./connection.ts";
import type { Host } from "./host.ts";
import { createLinks } from "./links.ts";
import { unwatched } from "./network-watch.ts";

const path = "/tidemark.cluster.v1.ClusterService/WatchMetadata";

/** What a broker is told of one call that is held back for a second, while the way is cut as some of it should arrive. */
async function arrivalsOf(seed: number): Promise<readonly number[]> {
  const engine = createEngine();
  const random = createRandomTree(seed);
  const links = createLinks(engine, random.stream("links"), { delayMs: 1, jitterMs: 0 });
  const hosts = new Map<string, Host>();
  const side = (name: string, number: number) => {
    const host: Host = { name, number, isPowered: true, listeners: new Map(), connections: new Set() };
    hosts.set(name, host);
    return { host, process: createSimProcess(engine, { name, random: random.stream(name), wallStartMs: 0 }) };
  };
  const [controller, broker] = [side("controller-1", 1), side("broker-1", 2)];
  const net = { engine, links, watch: unwatched, host: (name: string) => hosts.get(name) };
  const { client, server } = createConnection(net, broker, controller);
  const arrived: number[] = [];
  client.onFrame = (frame) => {
    if (frame.kind === "data") arrived.push(frame.bytes[0] ?? -1);
  };
  const run = (untilMs: number) => takeTurns(() => engine.step(untilMs));

  client.send({ kind: "headers", stream: 1, path, metadata: new Metadata(), timeoutMs: Number.POSITIVE_INFINITY });
  await run(10);
  const release = links.holdCalls("controller-1", "broker-1", { call: "WatchMetadata", ms: 1000 });
  const send = (value: number) => server.send({ kind: "data", stream: 1, bytes: Uint8Array.of(value) });
  for (const value of [0, 1, 2, 3]) {
    send(value);
    await run(engine.nowMs + 100);
  }
  release();
  await run(900);
  const mend = links.cut("controller-1", "broker-1");
  await run(1250);
  mend();
  send(4);
  await run(10_000);
  return arrived;
}

test.each([1, 2, 3, 4, 5, 6])(
  "what is held back of a call arrives in its order, also across a cut (seed 1410009): %i",
  async (seed) => {
    expect(await arrivalsOf(seed)).toEqual([0, 1, 2, 3, 4]);
  },
);
