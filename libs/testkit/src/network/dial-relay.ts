import { connect, createServer, type Socket } from "node:net";
import { createLink, type Link, type LinkRules } from "./tcp-link.ts";

/** One process as a relay tells it from others: by who dials, and by what is dialled. */
export interface RelayedProcess {
  readonly pid: number;
  /** Where it listens. */
  readonly ports: readonly number[];
}

/**
 * A relay in this process through which other processes reach each other, so that a test can cut one off: nothing
 * passes to it or from it, on connections that stand and new ones alike, and nobody is told. A port that refuses is met
 * as a connection that is reset.
 */
export interface DialRelay {
  /** What processes are to find in their environment. They are to run Node.js, and inherit it to whom they start. */
  readonly env: Readonly<Record<"NODE_OPTIONS" | "TIDEMARK_TEST_RELAY", string>>;
  cutOff(process: RelayedProcess): void;
  /** What passes to it or from it takes so long each way, in milliseconds, from now on. 0: no longer than it takes. */
  slow(process: RelayedProcess, delayMs: number): void;
  /** Everything passes again. Connections to and from who was cut off are reset. */
  mend(): void;
  close(): Promise<void>;
}

interface Call {
  readonly pid: number;
  readonly host: string;
  readonly port: number;
}

const preload = new URL("./dial-through.ts", import.meta.url).href;

/** Listens on a free port of 127.0.0.1. */
export async function createDialRelay(): Promise<DialRelay> {
  const links = new Map<Link, Call>();
  let parted: RelayedProcess | undefined;
  let slowed: { readonly process: RelayedProcess; readonly delayMs: number } | undefined;
  const isOf = ({ pid, port }: Call, process: RelayedProcess) => pid === process.pid || process.ports.includes(port);
  const isCut = (call: Call) => parted !== undefined && isOf(call, parted);
  const delayOf = (call: Call) => (slowed !== undefined && isOf(call, slowed.process) ? slowed.delayMs : 0);

  const server = createServer({ noDelay: true }, (client) => {
    client.on("error", () => undefined);
    readCall(client, (call) => {
      const upstream = connect({ host: call.host, port: call.port, noDelay: true });
      const link = createLink(
        client,
        upstream,
        rulesOf(
          () => isCut(call),
          () => delayOf(call),
        ),
        () => undefined,
      );
      links.set(link, call);
      link.onClosed(() => links.delete(link));
      client.resume();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The relay has no TCP port.");

  const reset = (which: (call: Call) => boolean) => {
    for (const [link, call] of links) if (which(call)) link.reset();
  };
  return {
    env: { NODE_OPTIONS: `--import=${preload}`, TIDEMARK_TEST_RELAY: String(address.port) },
    cutOff(process) {
      parted = process;
    },
    slow(process, delayMs) {
      slowed = { process, delayMs };
    },
    mend() {
      reset(isCut);
      parted = undefined;
    },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      reset(() => true);
      await closed;
    },
  };
}

function rulesOf(isCut: () => boolean, delayMs: () => number): LinkRules {
  const forwarding = () => (isCut() ? "drop" : "pass");
  return {
    get toServer() {
      return forwarding();
    },
    get toClient() {
      return forwarding();
    },
    get delayMs() {
      return delayMs();
    },
  };
}

/** Reads the line with which a dialler begins, and leaves the rest to be read. */
function readCall(client: Socket, onCall: (call: Call) => void): void {
  let begun = Buffer.alloc(0);
  const onData = (piece: Buffer) => {
    begun = Buffer.concat([begun, piece]);
    const end = begun.indexOf("\n");
    if (end === -1) return;
    client.off("data", onData);
    client.pause();
    client.unshift(begun.subarray(end + 1));
    const call = /^(\d+) (\S+) (\d{1,5})$/.exec(begun.toString("latin1", 0, end));
    // Some other program of this machine.
    if (call === null) client.destroy();
    else onCall({ pid: Number(call[1]), host: call[2] ?? "", port: Number(call[3]) });
  };
  client.on("data", onData);
}
