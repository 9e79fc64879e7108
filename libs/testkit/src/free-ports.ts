import { randomInt } from "node:crypto";
import { createServer, type Server } from "node:net";

/**
 * Below what Linux gives out by itself (32768 to 60999 as it comes): a port from there may be that of somebody's outgoing
 * connection by the time it is listened on, or while its process is being restarted. And above those that `tidemark dev`
 * takes for its clusters, whose processes are killed and come back.
 */
const range = { from: 26_000, to: 32_000 } as const;

/**
 * Ports are handed out before anybody listens there, and two that draw at once would now and then draw the same. So each
 * process has blocks of its own: whoever listens on the first port of a block has the others, until it ends.
 */
const blockSize = 20;

const drawn = () => range.from + blockSize * randomInt((range.to - range.from) / blockSize);

/** Of this process's blocks, what was not handed out yet. */
const left: number[] = [];

/** So many ports of 127.0.0.1 that nobody listens on, and that are handed out to nobody else. `draw`: blocks to try. */
export async function freePorts(count: number, draw: () => number = drawn): Promise<readonly number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    if (left.length === 0) await claimBlock(draw);
    const port = left.shift();
    if (port !== undefined && (await isFree(port))) ports.push(port);
  }
  return ports;
}

async function claimBlock(draw: () => number): Promise<void> {
  for (let tries = 0; tries < 1000; tries++) {
    const first = draw();
    const server = await listen(first);
    if (server === undefined) continue;
    server.unref();
    for (let port = first + 1; port < first + blockSize; port++) left.push(port);
    return;
  }
  throw new Error(`No block of ports from ${range.from} to ${range.to} is free`);
}

async function isFree(port: number): Promise<boolean> {
  const server = await listen(port);
  if (server === undefined) return false;
  await new Promise((closed) => server.close(closed));
  return true;
}

/** Undefined: somebody else is there. */
function listen(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}
