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
 * as one that does, but by who is cut off from it.
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
  /** Counts the dials of a process. */
  readonly dial: number;
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

  /** Connections that stand and wait for who wanted them, by process and dial. */
  const dialled = new Map<string, Socket>();
  const dialOf = ({ pid, dial }: Call) => `${pid} ${dial}`;

  const dial = (client: Socket, call: Call) => {
    const upstream = connect({ host: call.host, port: call.port, noDelay: true });
    const tell = (answer: "refused" | "open") => {
      upstream.off("error", onError);
      upstream.off("connect", onConnect);
      if (answer === "open")
        dialled.set(
          dialOf(call),
          upstream.on("error", () => undefined),
        );
      // Whoever asked and is gone will not come for it.
      if (client.destroyed) take(call)?.destroy();
      client.end(answer);
    };
    const onError = ({ code }: NodeJS.ErrnoException) =>
      tell(code === "ECONNREFUSED" && !isCut(call) ? "refused" : "open");
    const onConnect = () => tell("open");
    upstream.once("error", onError).once("connect", onConnect);
  };
  const take = (call: Call): Socket | undefined => {
    const upstream = dialled.get(dialOf(call));
    dialled.delete(dialOf(call));
    return upstream;
  };

  const server = createServer({ noDelay: true }, (client) => {
    client.on("error", () => undefined);
    readCall(client, (kind, call) => {
      if (kind === "dial") {
        dial(client, call);
        return;
      }
      const upstream = take(call);
      if (upstream === undefined || upstream.destroyed) {
        client.resetAndDestroy();
        return;
      }
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
      for (const upstream of dialled.values()) upstream.destroy();
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
function readCall(client: Socket, onCall: (kind: "dial" | "connect", call: Call) => void): void {
  let begun = Buffer.alloc(0);
  const onData = (piece: Buffer) => {
    begun = Buffer.concat([begun, piece]);
    const end = begun.indexOf("\n");
    if (end === -1) return;
    client.off("data", onData);
    client.pause();
    client.unshift(begun.subarray(end + 1));
    const call = /^(dial )?(\d+) (\S+) (\d{1,5}) (\d+)$/.exec(begun.toString("latin1", 0, end));
    // Some other program of this machine.
    if (call === null) client.destroy();
    else {
      const [, asks, pid, host = "", port, dial] = call;
      onCall(asks === undefined ? "connect" : "dial", {
        pid: Number(pid),
        host,
        port: Number(port),
        dial: Number(dial),
      });
    }
  };
  client.on("data", onData);
}
