import { connect, createServer, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { createTcpBalancer, type TcpBalancer } from "./tcp-balancer.ts";

/** As long as a busy machine may take. */
const eventually = <Value>(look: () => Value) => expect.poll(look, { timeout: 20_000 });

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A server that says its name to whoever connects. Stops when it is told to. */
async function startServer(name: string) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.write(name);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const stop = async () => {
    for (const socket of sockets) socket.destroy();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  cleanups.push(stop);
  return { port: typeof address === "object" && address !== null ? address.port : 0, stop };
}

async function startBalancer(ports: readonly number[]): Promise<TcpBalancer> {
  const balancer = await createTcpBalancer(ports);
  cleanups.push(() => balancer.close());
  return balancer;
}

/** What a connection was told, and whether it has ended. */
function open({ endpoint }: TcpBalancer) {
  const [host = "", port = ""] = endpoint.split(":");
  const seen = { text: "", isOver: false };
  const socket = connect({ host, port: Number(port) });
  cleanups.push(() => socket.destroy());
  socket.on("error", () => undefined);
  socket.on("data", (bytes: Buffer) => {
    seen.text += bytes.toString();
  });
  socket.on("close", () => {
    seen.isOver = true;
  });
  return seen;
}

describe("a TCP balancer", () => {
  it("gives connections to its servers in turn, and past one that takes none", async () => {
    const [a, b] = [await startServer("a"), await startServer("b")];
    const balancer = await startBalancer([a.port, b.port]);
    for (const name of ["a", "b", "a"]) {
      const seen = open(balancer);
      await eventually(() => seen.text).toBe(name);
    }
    await b.stop();
    for (const name of ["a", "a"]) {
      const seen = open(balancer);
      await eventually(() => seen.text).toBe(name);
    }
    expect(balancer.given).toEqual([4, 1]);
  });

  it("ends a connection that no server takes, and those that it has when they are cut", async () => {
    const a = await startServer("a");
    const balancer = await startBalancer([a.port]);
    const seen = open(balancer);
    await eventually(() => seen.text).toBe("a");
    balancer.cut();
    await eventually(() => seen.isOver).toBe(true);
    await a.stop();
    const refused = open(balancer);
    await eventually(() => refused.isOver).toBe(true);
    expect(refused.text).toBe("");
  });
});
