import { connect, createServer } from "node:net";
import { createLink, type Direction, type Forwarding, type Link } from "./network/tcp-link.ts";

/** A TCP proxy in this process: a link that a test can slow down, silence and break. */
export interface TcpProxy {
  readonly host: string;
  readonly port: number;
  /** Connections that are open now, and all that ever came. */
  readonly connections: { readonly open: number; readonly total: number };
  /** Bytes that came from each side so far, whatever became of them. */
  readonly received: Readonly<Record<Direction, number>>;
  /** For bytes that come from now on. Leaving "hold" hands on what was kept. */
  forward(direction: Direction, forwarding: Forwarding): void;
  /** Milliseconds that each byte takes, each way. For bytes that come from now on. */
  setDelay(delayMs: number): void;
  /** Resets every open connection. New ones are taken. */
  reset(): void;
  /** Where new connections lead. */
  setTarget(target: Target): void;
  /** Resets every connection and frees the port. */
  close(): Promise<void>;
}

export interface Target {
  readonly host?: string;
  readonly port: number;
}

/** Listens on a free port of 127.0.0.1. */
export async function createTcpProxy(options: {
  readonly target: Target;
  /** Each way. Absent: none. */
  readonly delayMs?: number;
}): Promise<TcpProxy> {
  const links = new Set<Link>();
  const received = { toServer: 0, toClient: 0 };
  const rules = {
    toServer: "pass" as Forwarding,
    toClient: "pass" as Forwarding,
    delayMs: options.delayMs ?? 0,
  };
  let target = options.target;
  let total = 0;

  const server = createServer({ noDelay: true }, (client) => {
    total += 1;
    const upstream = connect({ host: target.host ?? "127.0.0.1", port: target.port, noDelay: true });
    const link = createLink(client, upstream, rules, (direction, length) => {
      received[direction] += length;
    });
    links.add(link);
    link.onClosed(() => links.delete(link));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The proxy has no TCP port.");

  const reset = () => {
    for (const link of links) link.reset();
  };
  return {
    host: "127.0.0.1",
    port: address.port,
    get connections() {
      return { open: links.size, total };
    },
    received,
    forward(direction, forwarding) {
      rules[direction] = forwarding;
      for (const link of links) link.update(direction);
    },
    setDelay(delayMs) {
      rules.delayMs = delayMs;
    },
    reset,
    setTarget(next) {
      target = next;
    },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      reset();
      await closed;
    },
  };
}
