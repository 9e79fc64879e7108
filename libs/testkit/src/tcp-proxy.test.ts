import { connect, createServer, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { createTcpProxy, type TcpProxy } from "./tcp-proxy.ts";

/** As long as a busy machine may take. */
const eventually = <Value>(look: () => Value) => expect.poll(look, { timeout: 20_000 });

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A server that sends back what it gets, and a proxy before it. */
const startEcho = async (delayMs = 0, answer = (bytes: Buffer) => bytes) => {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("data", (bytes: Buffer) => socket.write(answer(bytes)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return { port, sockets, proxy: delayMs < 0 ? undefined : await startProxy(port, delayMs) };
};

const startProxy = async (port: number, delayMs = 0) => {
  const proxy = await createTcpProxy({ target: { port }, delayMs });
  cleanups.push(() => proxy.close());
  return proxy;
};

const open = async (proxy: TcpProxy) => {
  const socket = connect({ host: proxy.host, port: proxy.port });
  const got: Buffer[] = [];
  let ended: string | undefined;
  socket.on("data", (bytes: Buffer) => got.push(bytes));
  socket.on("error", (error: NodeJS.ErrnoException) => (ended = error.code));
  socket.on("close", () => (ended ??= "closed"));
  cleanups.push(() => socket.destroy());
  await new Promise((resolve) => socket.once("connect", resolve));
  return { socket, text: () => Buffer.concat(got).toString(), ended: () => ended };
};

describe("a TCP proxy", () => {
  it("hands bytes on, both ways, and counts them", async () => {
    const { proxy } = await startEcho();
    const client = await open(proxy!);
    client.socket.write("hello");
    await eventually(client.text).toBe("hello");
    expect(proxy!.received).toEqual({ toServer: 5, toClient: 5 });
    expect(proxy!.connections).toEqual({ open: 1, total: 1 });
  });

  it("keeps the order of delayed bytes, also when the delay changes", async () => {
    const { proxy } = await startEcho(30);
    const client = await open(proxy!);
    client.socket.write("a");
    await eventually(() => proxy!.received.toServer).toBe(1);
    proxy!.setDelay(0);
    client.socket.write("b");
    await eventually(client.text).toBe("ab");
  });

  it("holds bytes of one direction back until they may pass", async () => {
    const { proxy } = await startEcho();
    const client = await open(proxy!);
    proxy!.forward("toClient", "hold");
    client.socket.write("held");
    await eventually(() => proxy!.received.toClient).toBe(4);
    expect(client.text()).toBe("");
    proxy!.forward("toClient", "pass");
    await eventually(client.text).toBe("held");
  });

  it("loses bytes for good, on a connection that stands", async () => {
    const { proxy } = await startEcho();
    const client = await open(proxy!);
    proxy!.forward("toServer", "drop");
    client.socket.write("lost");
    await eventually(() => proxy!.received.toServer).toBe(4);
    proxy!.forward("toServer", "pass");
    client.socket.write("found");
    await eventually(client.text).toBe("found");
    expect(client.ended()).toBeUndefined();
  });

  it("resets connections, and takes new ones", async () => {
    const { proxy } = await startEcho();
    const client = await open(proxy!);
    client.socket.write("x");
    await eventually(client.text).toBe("x");
    proxy!.reset();
    await eventually(client.ended).toBe("ECONNRESET");
    await eventually(() => proxy!.connections).toEqual({ open: 0, total: 1 });
    const again = await open(proxy!);
    again.socket.write("y");
    await eventually(again.text).toBe("y");
  });

  it("leads new connections elsewhere", async () => {
    const { proxy } = await startEcho();
    const { port } = await startEcho(-1, () => Buffer.from("other"));
    proxy!.setTarget({ port });
    const client = await open(proxy!);
    client.socket.write("x");
    await eventually(client.text).toBe("other");
  });

  it("closes the client when the target refuses", async () => {
    const { proxy } = await startEcho();
    proxy!.setTarget({ port: 1 });
    const client = await open(proxy!);
    await eventually(client.ended).toBeDefined();
  });

  it("waits for a reader that is slow, and loses nothing", async () => {
    const { proxy } = await startEcho();
    const client = await open(proxy!);
    const block = Buffer.alloc(64 * 1024, "z");
    client.socket.pause();
    for (let count = 0; count < 64; count++) client.socket.write(block);
    client.socket.resume();
    await eventually(() => client.text().length).toBe(64 * block.length);
  });
});
