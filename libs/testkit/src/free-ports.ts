import { randomInt } from "node:crypto";
import { createServer, type Server } from "node:net";

/**
 * Below what Linux gives out by itself (32768 to 60999 as it comes): a port from there may be that of somebody's outgoing
 * connection by the time it is listened on, or while its process is being restarted. And above those that `tidemark dev`
 * takes for its clusters, whose processes are killed and come back.
 */
const range = { from: 26_000, to: 32_000 } as const;

const drawn = () => randomInt(range.from, range.to);

/** So many ports of 127.0.0.1 that nobody listens on, all different. Drawn at random, since others draw as well. */
export async function freePorts(count: number, draw: () => number = drawn): Promise<readonly number[]> {
  const held = new Map<number, Server>();
  for (let tries = 0; held.size < count; tries++) {
    if (tries > count + 1000) throw new Error(`No ${count} free ports from ${range.from} to ${range.to} were found`);
    const port = draw();
    const server = held.has(port) ? undefined : await listen(port);
    if (server !== undefined) held.set(port, server);
  }
  await Promise.all([...held.values()].map((server) => new Promise((closed) => server.close(closed))));
  return [...held.keys()];
}

/** Undefined: somebody else is there. */
function listen(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}
