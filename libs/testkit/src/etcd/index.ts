/** Real etcd processes for tests, on ports of their own and with data in a temporary folder. */
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getEtcdBinary } from "@tidemark/tooling/etcd-binary";
import { freePorts } from "../free-ports.ts";
import { waitFor } from "../wait-for.ts";
import { createEtcdMember, type EtcdMember, type EtcdTls } from "./etcd-member.ts";
import { replaceMember } from "./membership.ts";

export type { EtcdMember, EtcdTls } from "./etcd-member.ts";

export interface EtcdProcesses {
  readonly members: readonly EtcdMember[];
  /** host:port of every member, for clients. */
  readonly endpoints: readonly string[];
  /** As the binary says it. */
  readonly version: string;
  /** Kills a member and takes its disk away. */
  lose(member: EtcdMember): Promise<void>;
  /** Takes a member that was lost out of the cluster and brings an empty one in under its name. Resolves when it serves. */
  replace(member: EtcdMember): Promise<void>;
  /** Kills what runs and starts it again. Resolves when it serves. */
  powerCut(): Promise<void>;
  /** Resolves when every member that runs serves. */
  ready(): Promise<void>;
  /** Stops everything and removes the data. */
  stop(): Promise<void>;
}

export interface EtcdProcessesOptions {
  readonly members: 1 | 3;
  /** For every member, beside what makes them a cluster. */
  readonly flags?: readonly string[];
  /** Absent: cleartext. */
  readonly tls?: EtcdTls;
  /** Where the data goes, in a folder of its own. Absent: memory where the machine has a file system there. */
  readonly folder?: string;
}

/**
 * Gets an etcd that may be killed, starts the members and resolves when they serve. Elections take half a second rather
 * than a whole one, so that leases of one second can be had, and members may be replaced as soon as they are lost.
 */
export async function startEtcd({
  members: count,
  flags = [],
  tls,
  folder = memoryFolder(),
}: EtcdProcessesOptions): Promise<EtcdProcesses> {
  const { path: binary, version } = getEtcdBinary({ forCrashes: true });
  const data = mkdtempSync(join(folder, "tidemark-etcd-"));
  const ports = await freePorts(3 * count);
  const names = Array.from({ length: count }, (_, n) => `etcd-${n + 1}`);
  const clientPort = (n: number) => ports[3 * n] ?? 0;
  const peerPort = (n: number) => ports[3 * n + 1] ?? 0;
  const cluster = names.map((name, n) => `${name}=http://127.0.0.1:${peerPort(n)}`).join(",");
  const members = names.map((name, n) =>
    createEtcdMember({
      binary,
      name,
      directory: join(data, name),
      clientPort: clientPort(n),
      peerPort: peerPort(n),
      healthPort: ports[3 * n + 2] ?? 0,
      tls,
      cluster,
      flags: ["--heartbeat-interval=50", "--election-timeout=500", "--strict-reconfig-check=false", ...flags],
    }),
  );
  const stop = async () => {
    await Promise.all(members.map((member) => member.stop()));
    rmSync(data, { recursive: true, force: true });
  };
  const ready = async () => {
    await Promise.all(members.filter((member) => member.isRunning()).map((member) => member.ready()));
  };
  try {
    for (const member of members) member.start();
    await ready();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    members,
    endpoints: members.map(({ endpoint }) => endpoint),
    version,
    ready,
    stop,
    ...faultsOf(members, ready),
  };
}

/**
 * A file system in memory where there is one: what these tests kill is processes, and what those wrote outlives them
 * there too, while no flush waits for a disk.
 */
function memoryFolder(): string {
  const folder = "/dev/shm";
  try {
    accessSync(folder, constants.W_OK);
    return folder;
  } catch {
    return tmpdir();
  }
}

function faultsOf(
  members: readonly EtcdMember[],
  ready: () => Promise<void>,
): Pick<EtcdProcesses, "lose" | "replace" | "powerCut"> {
  return {
    async lose(member) {
      await member.kill();
      member.loseDisk();
    },
    async replace(member) {
      // The others refuse while they find themselves unhealthy, and whoever joins may end where they elect just then.
      await waitFor(`${member.name} to be replaced`, async () => {
        const other = members.find((candidate) => candidate !== member && candidate.isRunning());
        if (other === undefined) throw new Error("No other member runs");
        if (member.isRunning()) await member.kill();
        member.loseDisk();
        await replaceMember(other.endpoint, member);
        member.start({ joining: true });
        await member.ready(10_000);
        return true;
      });
    },
    async powerCut() {
      const running = members.filter((member) => member.isRunning());
      await Promise.all(running.map((member) => member.kill()));
      for (const member of running) member.start();
      await ready();
    },
  };
}
