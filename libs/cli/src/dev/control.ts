import { timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { readClusterFile } from "./cluster-file.ts";
import type { CommandResult, Supervisor } from "./supervisor.ts";

/** What can be said to a running supervisor from another shell. */
export type Verb = "start" | "stop" | "restart";
const verbs: readonly string[] = ["start", "stop", "restart"] satisfies Verb[];

/** Listens on loopback for commands that bring `token` along. */
export async function serveControl(
  supervisor: Supervisor,
  token: string,
): Promise<{ readonly endpoint: string; close(): void }> {
  const expected = Buffer.from(`Bearer ${token}`);
  const server = createServer((request, response) => {
    const given = Buffer.from(request.headers.authorization ?? "");
    const [, verb = "", name = ""] = (request.url ?? "").split("/");
    if (given.length !== expected.length || !timingSafeEqual(given, expected) || !verbs.includes(verb)) {
      response.writeHead(403).end();
      return;
    }
    supervisor[verb as Verb](name).then(
      (result) => response.end(JSON.stringify(result)),
      (error: unknown) => response.end(JSON.stringify({ ok: false, message: String(error) })),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("A TCP server has an address");
  return { endpoint: `127.0.0.1:${address.port}`, close: () => server.close() };
}

/** Tells the supervisor of the cluster in `data` to do something. */
export async function sendCommand(data: string, verb: Verb, name: string): Promise<CommandResult> {
  const supervisor = readClusterFile(data)?.supervisor;
  const absent = { ok: false, message: `No \`tidemark dev\` runs over ${data}; start it with --data ${data}.` };
  if (supervisor === undefined) return absent;
  try {
    const response = await fetch(`http://${supervisor.endpoint}/${verb}/${encodeURIComponent(name)}`, {
      method: "POST",
      headers: { authorization: `Bearer ${supervisor.token}` },
    });
    if (!response.ok) return absent;
    return (await response.json()) as CommandResult;
  } catch {
    return absent;
  }
}
