import { connect, createServer, type Socket } from "node:net";
import { createLink, type Link } from "./network/tcp-link.ts";

/** One address in front of several servers: each connection goes to the next of them that takes it, in turn. */
export interface TcpBalancer {
  /** host:port. */
  readonly endpoint: string;
  /** Connections that each server was given so far, in the order of the servers. */
  readonly given: readonly number[];
  /** Resets the connections that are open. New ones are taken. */
  cut(): void;
  /** Resets every connection and frees the port. */
  close(): Promise<void>;
}

const rules = { toServer: "pass", toClient: "pass", delayMs: 0 } as const;

/** Listens on a free port of 127.0.0.1. `ports` are the servers' there. A connection that none of them takes is reset. */
export async function createTcpBalancer(ports: readonly number[]): Promise<TcpBalancer> {
  const given = ports.map(() => 0);
  const links = new Set<Link>();
  /** Connections that no server has taken yet. */
  const waiting = new Set<Socket>();
  let turn = 0;

  const give = (client: Socket, tries: number) => {
    const index = turn++ % ports.length;
    const port = ports[index];
    if (port === undefined || tries === ports.length) {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect({ host: "127.0.0.1", port, noDelay: true });
    const onRefused = () => give(client, tries + 1);
    upstream.once("error", onRefused);
    upstream.once("connect", () => {
      upstream.off("error", onRefused);
      waiting.delete(client);
      given[index] = (given[index] ?? 0) + 1;
      const link = createLink(client, upstream, rules, () => undefined);
      links.add(link);
      link.onClosed(() => links.delete(link));
      if (client.destroyed) link.reset();
    });
  };

  const server = createServer({ noDelay: true }, (client) => {
    waiting.add(client);
    client.on("error", () => client.destroy());
    client.once("close", () => waiting.delete(client));
    give(client, 0);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The balancer has no TCP port.");

  const cut = () => {
    for (const client of waiting) client.resetAndDestroy();
    for (const link of links) link.reset();
  };
  return {
    endpoint: `127.0.0.1:${address.port}`,
    given,
    cut,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      cut();
      await closed;
    },
  };
}
