/** Starts the processes of a manifest on this machine: same settings, other addresses and folders. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { freePorts, waitFor } from "@tidemark/testkit";
import type { ManifestProcess } from "./manifests.ts";

/** Where everything of a manifest is on this machine. */
export interface Place {
  /** host:port within the manifest's network -> host:port here. */
  readonly addresses: ReadonlyMap<string, string>;
  /** Takes the place of `/`. */
  readonly folder: string;
}

/** Free ports of this machine for every address that the processes advertise or bind. */
export async function placeFor(processes: readonly ManifestProcess[], folder: string): Promise<Place> {
  const advertised = processes.flatMap(({ environment }) =>
    (environment.TIDEMARK_ADVERTISED_LISTENERS ?? "").split(",").map((listener) => listener.replace(/^\w+:\/\//, "")),
  );
  const ports = await freePorts(advertised.length);
  const addresses = new Map(advertised.map((address, index) => [address, `127.0.0.1:${ports[index] ?? 0}`]));
  return { addresses, folder };
}

/** The environment of a process with addresses and folders of this machine. Nobody collects its traces. */
export function environmentHere(process: ManifestProcess, place: Place): Readonly<Record<string, string>> {
  const here = (text: string) => {
    let changed = text;
    for (const [there, own] of place.addresses) changed = changed.replaceAll(there, own);
    return changed.replaceAll("/data/", join(place.folder, process.name, "/"));
  };
  const entries = Object.entries(process.environment).filter(([name]) => !name.startsWith("OTEL_"));
  const own = Object.fromEntries(entries.map(([name, value]) => [name, here(value)]));
  return {
    ...own,
    // Bound to loopback and to the port that is advertised.
    TIDEMARK_LISTENERS: own.TIDEMARK_ADVERTISED_LISTENERS ?? "",
    TIDEMARK_METRICS_LISTENER: "127.0.0.1:0",
    // Everybody here has one address.
    TIDEMARK_MAX_CONNECTIONS_PER_IP: "1000",
    TIDEMARK_MAX_CONNECTION_CREATION_RATE_PER_IP: "1000",
  };
}

export interface Running {
  readonly pid: number;
  /** What it said so far. */
  output(): string;
  /** Asks it to stop; resolves with its exit code, or with the signal that ended it. */
  stop(): Promise<number | string>;
  /** Ends it at once, if it still runs. */
  kill(): Promise<void>;
}

/** Starts a program and waits until it says that it is ready. */
export async function startProgram(
  command: readonly [program: string, ...args: string[]],
  options: { readonly env: Readonly<Record<string, string>>; readonly cwd?: string; readonly uid?: number },
): Promise<Running> {
  const [program, ...args] = command;
  const child: ChildProcess = spawn(program, args, {
    cwd: options.cwd,
    env: { ...options.env },
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const isOver = () => child.exitCode !== null || child.signalCode !== null;
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (piece: Buffer) => (output += piece.toString()));
  await waitFor(`${args.at(-1)} to be ready, or to end`, () => output.includes('"ready":true') || isOver()).catch(
    (error: unknown) => {
      child.kill("SIGKILL");
      throw error;
    },
  );
  if (isOver()) throw new Error(`${args.at(-1)} ended with ${child.exitCode}:\n${output}`);
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    await waitFor("the process to end", isOver);
  };
  return {
    pid: child.pid ?? 0,
    output: () => output,
    stop: async () => {
      await end("SIGTERM");
      return child.exitCode ?? child.signalCode ?? "";
    },
    kill: () => (isOver() ? Promise.resolve() : end("SIGKILL")),
  };
}
