import { mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createNodeDisk, DiskError } from "@tidemark/disk";
import { createNodeRuntime } from "@tidemark/runtime";
import { clusterFileName } from "./cluster-file.ts";
import { countsMax, processName, type Role } from "./layout.ts";

/** Where things lie in the data folder of a cluster. */
export const places = {
  config: (data: string) => join(data, "config"),
  logs: (data: string) => join(data, "logs"),
  ports: (data: string) => join(data, "ports.json"),
} as const;

/** What a start leaves that ended before there was a cluster. */
const leftByStart = [".lock", "ports.json", `.${clusterFileName}.new`];

/** The folder was taken for this cluster, or why it was not, as a sentence. */
export type Taking =
  | {
      readonly kind: "taken";
      /** Gives the folder back. One that was made for this, and in which there is no cluster, goes. */
      readonly release: () => Promise<void>;
    }
  | { readonly kind: "refused"; readonly reason: string };

/**
 * Makes the folder where it is missing, and holds it until the lock is released or this process ends. A folder that
 * holds other things and no cluster is refused, since `--fresh` would one day remove what lies in it.
 */
export async function takeDataFolder(data: string): Promise<Taking> {
  const isNew = mkdirSync(data, { recursive: true }) !== undefined;
  const content = readdirSync(data);
  if (content.some((name) => !leftByStart.includes(name)) && !content.includes(clusterFileName)) {
    return refused(`${data} holds other things and no Tidemark cluster. Name another folder with --data.`);
  }
  try {
    const lock = await createNodeDisk({ runtime: createNodeRuntime() }).lock(data);
    const release = async () => {
      await lock.release();
      if (isNew) removeIfUnused(data);
    };
    return { kind: "taken", release };
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    if (error.code === "LOCKED") {
      return refused(`Another \`tidemark dev\` runs over ${data}. Stop it, or name another folder with --data.`);
    }
    return refused(`${data} cannot be used: ${error.message}. Name another folder with --data.`);
  }
}

function refused(reason: string): Taking {
  return { kind: "refused", reason };
}

/** Removes what a cluster left in its folder, and nothing else. The lock stays. */
export function removeCluster(data: string): void {
  for (const [role, most] of [
    ["controller", countsMax.controllers],
    ["broker", countsMax.brokers],
    ["gateway", countsMax.gateways],
    ["etcd", countsMax.etcds],
  ] as const satisfies readonly (readonly [Role, number])[]) {
    for (let id = 1; id <= most; id++) {
      const name = processName({ role, id });
      rmSync(join(data, name), { recursive: true, force: true });
      rmSync(join(places.config(data), `${name}.yaml`), { force: true });
      rmSync(join(places.logs(data), `${name}.log`), { force: true });
    }
  }
  rmSync(places.ports(data), { force: true });
  for (const folder of [places.config(data), places.logs(data)]) removeIfEmpty(folder);
}

/** What a start left that was refused. */
function removeIfUnused(data: string): void {
  if (readdirSync(data).some((name) => !leftByStart.includes(name))) return;
  for (const name of leftByStart) rmSync(join(data, name), { force: true });
  removeIfEmpty(data);
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOENT" && code !== "ENOTEMPTY") throw error;
  }
}

/** The base port that was chosen for this cluster at an earlier start. Undefined where none was. */
export function readBasePort(data: string): number | undefined {
  try {
    return (JSON.parse(readFileSync(places.ports(data), "utf8")) as { readonly basePort: number }).basePort;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

export function keepBasePort(data: string, basePort: number): void {
  writeFileSync(places.ports(data), `${JSON.stringify({ basePort })}\n`);
}
