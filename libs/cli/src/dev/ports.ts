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

/** Hands out free ports, each once: they stay taken until `release`. */
export function createPortPicker(): { take(): Promise<number>; release(): Promise<void> } {
  const held: Server[] = [];
  return {
    async take() {
      const server = await listen(0);
      held.push(server);
      const address = server.address();
      if (address === null || typeof address === "string") throw new Error("A TCP server has an address");
      return address.port;
    },
    async release() {
      await Promise.all(held.map(close));
    },
  };
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
