/** How a bench tells running services what of their telemetry they do: a line over a connection, and one back. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";

/** Nothing, metrics without traces, or both. */
export type TelemetryMode = "nothing" | "metrics" | "all";

const portVariable = "TIDEMARK_TEST_TELEMETRY";

export interface TelemetrySwitch {
  /** What services are to find in their environment. */
  readonly env: Readonly<Record<"NODE_OPTIONS" | "TIDEMARK_TEST_TELEMETRY", string>>;
  /** Resolves when each service that runs does so. */
  turn(mode: TelemetryMode): Promise<void>;
  close(): void;
}

export async function createTelemetrySwitch(): Promise<TelemetrySwitch> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.once("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const tell = async (socket: Socket, mode: TelemetryMode) => {
    const answered = once(socket, "data");
    socket.write(`${mode}\n`);
    await answered;
  };
  return {
    env: {
      NODE_OPTIONS: `--import=${new URL("./switched-program.ts", import.meta.url).href}`,
      [portVariable]: String(port),
    },
    async turn(mode) {
      await Promise.all(Array.from(sockets, (socket) => tell(socket, mode)));
    },
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** A service's side: resolves once it hears. The connection keeps no process alive. */
export async function followSwitch(onTurn: (mode: TelemetryMode) => void): Promise<void> {
  const socket = connect(Number(process.env[portVariable]), "127.0.0.1");
  await once(socket, "connect");
  socket.on("error", () => undefined);
  socket.unref();
  createInterface({ input: socket }).on("line", (line) => {
    onTurn(line as TelemetryMode);
    socket.write("done\n");
  });
}
