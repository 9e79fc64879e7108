import { createServer, type Server } from "node:net";
import { type ProcessSpec, processName } from "./layout.ts";

function listen(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => resolve(server));
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

/** The listeners whose port is taken, as people read it: `gateway-1 client 4640`. */
export async function takenPorts(specs: readonly ProcessSpec[]): Promise<readonly string[]> {
  const taken: string[] = [];
  for (const spec of specs) {
    for (const [listener, port] of Object.entries(spec.ports)) {
      try {
        await close(await listen(port));
      } catch {
        taken.push(`${processName(spec)} ${listener} ${port}`);
      }
    }
  }
  return taken;
}

const blocks = { first: 12_000, apart: 100, count: 140 } as const;

/**
 * Base ports to try, each once, in an order that differs from call to call. They lie below the ports that systems give
 * to outgoing connections (from 32,768 on Linux): a client that dials a stopped broker's port again and again would
 * else sometimes be given that very port as its own, and hold it. `draw` is uniform in [0, 1).
 */
export function* candidateBasePorts(draw: () => number): Generator<number> {
  const start = Math.floor(draw() * blocks.count);
  for (let step = 0; step < blocks.count; step++) {
    yield blocks.first + ((start + step) % blocks.count) * blocks.apart;
  }
}
