import { setTimeout as sleep } from "node:timers/promises";
import { readClusterFile } from "./cluster-file.ts";
import { type Control, listenForCommands } from "./control.ts";
import { keepBasePort, places, readBasePort } from "./data-folder.ts";
import { controlPort, layOut, type ProcessSpec } from "./layout.ts";
import type { DevOptions } from "./options.ts";
import { candidateBasePorts, takenPorts } from "./ports.ts";

/** Where the cluster will listen. The supervisor listens already. */
export interface TakenPlace {
  readonly kind: "taken";
  readonly basePort: number;
  readonly specs: readonly ProcessSpec[];
  readonly control: Control;
}

export type PlaceResult = TakenPlace | { readonly kind: "refused"; readonly reason: string };

/** How long the processes of a run whose supervisor was killed may take to notice it. */
const leftoverTimeoutMs = 20_000;

/**
 * Finds the ports of a cluster: those that follow from `basePort`, those kept with the data, or free ones, which are
 * then kept. What still runs from a supervisor that was killed is waited for.
 */
export async function takePlace(options: DevOptions, token: string, say: (line: string) => void): Promise<PlaceResult> {
  const kept = options.basePort === 0 ? readBasePort(options.data) : options.basePort;
  if (kept === undefined) return choosePlace(options, token);
  let attempt = await tryPlace(options, kept, token);
  if (attempt.kind === "taken") return attempt;
  if (hasLeftovers(options.data)) {
    say("Waiting for processes of the last run, whose supervisor was killed, to end ...");
    const until = performance.now() + leftoverTimeoutMs;
    while (performance.now() < until && hasLeftovers(options.data)) await sleep(100);
    attempt = await tryPlace(options, kept, token);
    if (attempt.kind === "taken") return attempt;
  }
  const ports = attempt.ports.join(", ");
  const wayOut =
    options.basePort === 0
      ? `They were chosen when the cluster was made: free them, or remove ${places.ports(options.data)} to have others chosen.`
      : "Choose others with --base-port, or free ones with --base-port 0.";
  return { kind: "refused", reason: `These ports are taken: ${ports}. ${wayOut}` };
}

async function choosePlace(options: DevOptions, token: string): Promise<PlaceResult> {
  for (const basePort of candidateBasePorts(Math.random)) {
    const attempt = await tryPlace(options, basePort, token);
    if (attempt.kind !== "taken") continue;
    keepBasePort(options.data, basePort);
    return attempt;
  }
  return { kind: "refused", reason: "No range of free ports was found. Choose ports with --base-port." };
}

type Attempt = TakenPlace | { readonly kind: "busy"; readonly ports: readonly string[] };

/** The supervisor's port is taken first: of two clusters that try one range at the same moment, one gets it. */
async function tryPlace(options: DevOptions, basePort: number, token: string): Promise<Attempt> {
  const specs = layOut(options, basePort);
  let control: Control;
  try {
    control = await listenForCommands(controlPort(basePort), token);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EADDRINUSE" && code !== "EACCES") throw error;
    return { kind: "busy", ports: [`supervisor control ${controlPort(basePort)}`, ...(await takenPorts(specs))] };
  }
  const ports = await takenPorts(specs);
  if (ports.length === 0) return { kind: "taken", basePort, specs, control };
  control.close();
  return { kind: "busy", ports };
}

function hasLeftovers(data: string): boolean {
  return readClusterFile(data)?.processes.some(({ pid }) => pid !== undefined && isThere(pid)) ?? false;
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
