import { LogService } from "@tidemark/proto/log/v1";
import {
  createProcessBudget,
  createRpcServer,
  type ListenerContext,
  openRawStream,
  type ServerWire,
  serve,
} from "@tidemark/rpc";
import { expect, test } from "vitest";
import { createQueueWatch } from "../checks/queue-watch.ts";
import { createViolations } from "../checks/violations.ts";
import { createEngine } from "../engine/engine.ts";
import { createRandomTree } from "../engine/random-tree.ts";
import { createSimProcess } from "../engine/sim-process.ts";
import { takeTurns } from "../node/process.ts";
import { createNetwork } from "./network.ts";

const port = 4660;
const mebibyte = 2 ** 20;
const batches = new Uint8Array(mebibyte);
const { subscribe } = LogService.method;

/** A broker and a reader on a network that somebody looks at. */
function startWorld() {
  const engine = createEngine();
  const random = createRandomTree(1);
  const violations = createViolations(engine);
  const queues = createQueueWatch(violations, engine);
  const held: number[] = [];
  const network = createNetwork(
    engine,
    random.stream("network"),
    { delayMs: 1, jitterMs: 0 },
    {
      onCall: () => undefined,
      onConnection(process, peer, budget) {
        const queue = queues.observe(process, peer, budget);
        return {
          ...queue,
          held(bytes) {
            held.push(bytes);
            queue.held(bytes);
          },
        };
      },
    },
  );
  const machine = (name: string) => {
    const host = network.addHost(`${name}.sim`);
    const process = createSimProcess(engine, { name, random: random.stream(name), wallStartMs: 0 });
    return { host, process, transport: network.transportOf(host, process) };
  };
  return {
    network,
    broker: machine("broker-1"),
    reader: machine("reader"),
    /** Bytes that were handed over while the reader had no room. */
    held,
    /** What is found in so many milliseconds. */
    async rulesAfter(ms: number) {
      for (const untilMs = engine.nowMs + ms; engine.nowMs < untilMs; queues.check()) {
        await takeTurns(() => engine.step(Math.min(untilMs, engine.nowMs + 100)));
      }
      return violations.found.map(({ rule }) => rule);
    },
  };
}

type World = ReturnType<typeof startWorld>;

/** A reader that asks, and reads nothing of the answer. */
function stopReading({ reader }: World) {
  const { transport, process } = reader;
  const channel = transport.createChannel(`broker-1.sim:${port}`, { runtime: process.runtime, trafficClass: "fetch" });
  const stream = openRawStream(channel, subscribe, () => ({ onMessage: () => undefined }));
  stream.pause();
  stream.write({});
  return channel;
}

test("what a server writes for a reader that stopped is counted, and given back when the connection is lost", async () => {
  const world = startWorld();
  const { broker, held } = world;
  const server = createRpcServer({
    runtime: broker.process.runtime,
    transport: broker.transport,
    listeners: {
      client: {
        host: "broker-1.sim",
        port,
        services: [
          serve(
            LogService,
            {},
            {
              raw: {
                subscribe: (stream) => ({
                  onMessage() {
                    for (let sent = 0; sent < 8; sent++) stream.write({ frame: { case: "data", value: { batches } } });
                  },
                }),
              },
            },
          ),
        ],
      },
    },
  });
  server.start().catch(() => undefined);
  expect(await world.rulesAfter(10)).toEqual([]);
  stopReading(world);
  expect(await world.rulesAfter(3000)).toEqual([]);
  expect(held.length).toBeGreaterThan(0);
  world.network.endProcess(world.reader.host);
  expect(await world.rulesAfter(5000)).toEqual([]);
});

test("a server that writes past its counts is found", async () => {
  const world = startWorld();
  const { broker } = world;
  const write = (wire: ServerWire) => {
    for (let sent = 0; sent < 8; sent++) wire.sendMessage(Buffer.from(batches), () => undefined);
  };
  const listener = broker.transport.createListener("client", { host: "broker-1.sim", port, services: [] }, {
    processBudget: createProcessBudget(),
    dispatch: (_path, wire) => write(wire),
  } as ListenerContext);
  listener.bind().catch(() => undefined);
  stopReading(world);
  expect(await world.rulesAfter(3000)).toContain("a process holds for a peer what it does not count");
});
