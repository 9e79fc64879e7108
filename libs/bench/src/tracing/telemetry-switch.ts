/** How a bench tells running services what of their telemetry they do: a line over a connection, and one back. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import type { BusyShares } from "./busy-shares.ts";
import type { Profiler } from "./profiler.ts";

/** Neither metrics nor traces, or both. */
export type TelemetryMode = "nothing" | "all";

/** What a service is told, as a line each. */
type Order = TelemetryMode | "profile" | "profiled";

const portVariable = "TIDEMARK_TEST_TELEMETRY";

export interface TelemetrySwitch {
  /** What services are to find in their environment. */
  readonly env: Readonly<Record<"NODE_OPTIONS" | "TIDEMARK_TEST_TELEMETRY", string>>;
  /** Resolves when each service that runs does so. */
  turn(mode: TelemetryMode): Promise<void>;
  /** Profiles each service meanwhile. Resolves with what they were busy with, the busiest first. */
  profile(work: () => Promise<unknown>): Promise<readonly BusyShares[]>;
  close(): void;
}

export async function createTelemetrySwitch(): Promise<TelemetrySwitch> {
  /** What each answers. */
  const services = new Map<Socket, AsyncIterator<string>>();
  const server = createServer((socket) => {
    services.set(socket, createInterface({ input: socket })[Symbol.asyncIterator]());
    socket.on("error", () => undefined);
    socket.once("close", () => services.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const tellAll = (order: Order): Promise<readonly string[]> =>
    Promise.all(
      Array.from(services, async ([socket, answers]) => {
        socket.write(`${order}\n`);
        const answer = await answers.next();
        if (answer.done === true) throw new Error(`A service went away when it was told "${order}"`);
        return answer.value;
      }),
    );
  return {
    env: {
      NODE_OPTIONS: `--import=${new URL("./switched-program.ts", import.meta.url).href}`,
      [portVariable]: String(port),
    },
    async turn(mode) {
      await tellAll(mode);
    },
    async profile(work) {
      await tellAll("profile");
      await work();
      const shares = (await tellAll("profiled")).map((line) => JSON.parse(line) as BusyShares);
      return shares.sort((a, b) => b.busyMs - a.busyMs);
    },
    close() {
      server.close();
      for (const socket of services.keys()) socket.destroy();
    },
  };
}

/** A service's side: resolves once it hears. The connection keeps no process alive. */
export async function followSwitch(of: {
  readonly onTurn: (mode: TelemetryMode) => void;
  readonly profiler: Profiler;
}): Promise<void> {
  const socket = connect(Number(process.env[portVariable]), "127.0.0.1");
  await once(socket, "connect");
  socket.on("error", () => undefined);
  socket.unref();
  const obey = async (order: Order): Promise<unknown> => {
    if (order === "profile") return of.profiler.start();
    if (order === "profiled") return of.profiler.stop();
    return of.onTurn(order);
  };
  createInterface({ input: socket }).on("line", (line) => {
    obey(line as Order).then(
      (answer) => socket.write(`${JSON.stringify(answer ?? null)}\n`),
      (error: unknown) => socket.destroy(error instanceof Error ? error : new Error(String(error))),
    );
  });
}
