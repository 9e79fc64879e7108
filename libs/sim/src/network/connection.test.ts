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

/** A call of a broker to a controller, as far as it takes to see what of the answers arrives, and when. */
function openCall(seed: number) {
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
  client.send({ kind: "headers", stream: 1, path, metadata: new Metadata(), timeoutMs: Number.POSITIVE_INFINITY });
  return {
    engine,
    arrived,
    send: (value: number) => server.send({ kind: "data", stream: 1, bytes: Uint8Array.of(value) }),
    hold: (ms: number) => links.holdCalls("controller-1", "broker-1", { call: "WatchMetadata", ms }),
    cut: () => links.cut("controller-1", "broker-1"),
    slow: (delayMs: number) => links.slow("controller-1", "broker-1", { delayMs, jitterMs: 0 }),
    run: (untilMs: number) => takeTurns(() => engine.step(untilMs)),
  };
}

/** What a broker is told of one call that is held back for a second, while the way is cut as some of it should arrive. */
async function arrivalsOf(seed: number): Promise<readonly number[]> {
  const { engine, arrived, send, hold, cut, run } = openCall(seed);
  await run(10);
  const release = hold(1000);
  for (const value of [0, 1, 2, 3]) {
    send(value);
    await run(engine.nowMs + 100);
  }
  release();
  await run(900);
  const mend = cut();
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

test.each([1, 2, 3, 4, 5, 6])(
  "what a cut keeps of a call arrives before what is held back of it later (seed 3200205): %i",
  async (seed) => {
    const { arrived, send, hold, cut, run } = openCall(seed);
    await run(10);
    const mend = cut();
    send(0);
    await run(100);
    hold(100);
    send(1);
    await run(2000);
    mend();
    await run(2000 + 5000);
    expect(arrived).toEqual([0, 1]);
  },
);

test("what a slow way carries of a call arrives before what is held back of it for less time", async () => {
  const { arrived, send, hold, slow, run } = openCall(1);
  await run(10);
  const quicken = slow(500);
  send(0);
  quicken();
  await run(20);
  hold(100);
  send(1);
  await run(400);
  expect(arrived).toEqual([]);
  await run(1000);
  expect(arrived).toEqual([0, 1]);
});
