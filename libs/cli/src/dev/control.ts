import { timingSafeEqual } from "node:crypto";
import { createServer, type RequestListener } from "node:http";
import { readClusterFile } from "./cluster-file.ts";
import type { CommandResult } from "./supervisor.ts";

/** What can be said to a running supervisor from another shell. */
export type Verb = "start" | "stop" | "restart";
export const verbs: readonly Verb[] = ["start", "stop", "restart"];

/** What a supervisor carries out: a verb for a process, or a move to another backend. */
export type Order = Verb | "switch";
const orders: readonly Order[] = [...verbs, "switch"];

/** A command takes as long as the process does, which is killed when it does not stop. */
const answerTimeoutMs = 120_000;

/** The place where a supervisor takes commands. */
export interface Control {
  /** host:port. */
  readonly endpoint: string;
  /** Who carries commands out from now on. */
  serve(commands: Readonly<Record<Order, (name: string) => Promise<CommandResult>>>): void;
  close(): void;
}

/** Listens on loopback for commands that bring `token` along. Rejects with EADDRINUSE where the port is taken. */
export async function listenForCommands(port: number, token: string): Promise<Control> {
  const expected = Buffer.from(`Bearer ${token}`);
  let carryOut: ((order: Order, name: string) => Promise<CommandResult>) | undefined;
  const answer: RequestListener = (request, response) => {
    const given = Buffer.from(request.headers.authorization ?? "");
    const [, word = "", name = ""] = (request.url ?? "").split("/");
    const order = orders.find((known) => known === word);
    if (given.length !== expected.length || !timingSafeEqual(given, expected) || order === undefined) {
      response.writeHead(403).end();
      return;
    }
    if (carryOut === undefined) {
      response.end(JSON.stringify({ ok: false, message: "The cluster is being prepared; try again in a moment." }));
      return;
    }
    carryOut(order, decodeURIComponent(name)).then(
      (result) => response.end(JSON.stringify(result)),
      (error: unknown) => response.end(JSON.stringify({ ok: false, message: String(error) })),
    );
  };
  const server = createServer(answer);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  return {
    endpoint: `127.0.0.1:${port}`,
    serve: (commands) => {
      carryOut = (order, name) => commands[order](name);
    },
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Tells the supervisor of the cluster in `data` to do something. */
export async function sendCommand(data: string, order: Order, name: string): Promise<CommandResult> {
  const supervisor = readClusterFile(data)?.supervisor;
  const absent = { ok: false, message: `No \`tidemark dev\` runs over ${data}; name another folder with --data.` };
  if (supervisor === undefined) return absent;
  try {
    const response = await fetch(`http://${supervisor.endpoint}/${order}/${encodeURIComponent(name)}`, {
      method: "POST",
      headers: { authorization: `Bearer ${supervisor.token}` },
      signal: AbortSignal.timeout(answerTimeoutMs),
    });
    if (!response.ok) return absent;
    return (await response.json()) as CommandResult;
  } catch {
    return absent;
  }
}
