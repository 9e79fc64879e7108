import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { afterEach, describe, expect, it } from "vitest";
import { waitFor } from "../wait-for.ts";
import { createDialRelay, type DialRelay } from "./dial-relay.ts";

/** Connects to the port that it is given, sends each line of its input, and prints what comes back and its end. */
const program = `
  const { connect, Socket } = require("node:net");
  const options = { port: Number(process.argv[1]), host: "127.0.0.1" };
  // What is asked for is not changed by being relayed: it may be asked for again.
  new Socket().connect(options).on("error", () => {}).unref();
  const socket = connect(options);
  socket.on("data", (bytes) => process.stdout.write(bytes));
  socket.on("error", ({ code }) => console.log(code === "ECONNREFUSED" ? "refused" : "reset"));
  process.stdin.on("data", (bytes) => socket.write(bytes));
`;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function relayAndEcho(): Promise<{ readonly relay: DialRelay; readonly port: number; readonly server: Server }> {
  const server = createServer((socket) => socket.on("error", () => undefined).pipe(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const relay = await createDialRelay();
  cleanups.push(
    () => server.close(),
    () => relay.close(),
  );
  return { relay, server, port: typeof address === "object" ? (address?.port ?? 0) : 0 };
}

function dial(relay: DialRelay, port: number) {
  const env = { ...process.env, ...relay.env };
  const child: ChildProcessByStdio<Writable, Readable, null> = spawn(process.execPath, ["-e", program, String(port)], {
    env,
    stdio: ["pipe", "pipe", "inherit"],
  });
  cleanups.push(() => child.kill("SIGKILL"));
  const lines: string[] = [];
  const reader: Interface = createInterface({ input: child.stdout });
  reader.on("line", (line) => lines.push(line));
  const say = (line: string) => child.stdin.write(`${line}\n`);
  return {
    pid: child.pid ?? 0,
    lines,
    say,
    async talks(line: string) {
      say(line);
      await waitFor(`${line} to come back`, () => lines.includes(line));
    },
  };
}

describe("a process that reaches others through a relay", () => {
  it("is cut off by its pid, in silence, while others go on, and is reset when that is over", async () => {
    const { relay, port } = await relayAndEcho();
    const [parted, other] = [dial(relay, port), dial(relay, port)];
    await parted.talks("before");
    await other.talks("before");
    relay.cutOff({ pid: parted.pid, ports: [] });
    parted.say("lost");
    await other.talks("meanwhile");
    expect(parted.lines).toEqual(["before"]);
    relay.mend();
    await waitFor("the reset", () => parted.lines.includes("reset"));
    expect(parted.lines).toEqual(["before", "reset"]);
    await dial(relay, port).talks("afterwards");
  });

  it("does not reach one that is cut off by its port", async () => {
    const { relay, port } = await relayAndEcho();
    const [known, other] = [dial(relay, port), dial(relay, (await relayAndEcho()).port)];
    await known.talks("before");
    relay.cutOff({ pid: 0, ports: [port] });
    const late = dial(relay, port);
    for (const each of [known, late]) each.say("lost");
    await other.talks("meanwhile");
    expect([known.lines, late.lines]).toEqual([["before"], []]);
  });

  it("is refused where nobody listens, and not where it is cut off", async () => {
    const { relay, port, server } = await relayAndEcho();
    const other = dial(relay, (await relayAndEcho()).port);
    await new Promise((closed) => server.close(closed));
    const { lines } = dial(relay, port);
    await waitFor("the refusal", () => lines.length > 0);
    expect(lines).toEqual(["refused"]);
    relay.cutOff({ pid: 0, ports: [port] });
    const parted = dial(relay, port);
    await other.talks("meanwhile");
    expect(parted.lines).not.toContain("refused");
  });
});
