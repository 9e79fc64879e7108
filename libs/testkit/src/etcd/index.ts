/** Real etcd processes for tests, on ports of their own and with data in a temporary folder. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getEtcdBinary } from "@tidemark/tooling/etcd-binary";
import { createEtcdMember, type EtcdMember } from "./etcd-member.ts";
import { freePorts } from "./free-ports.ts";

export type { EtcdMember } from "./etcd-member.ts";

export interface EtcdProcesses {
  readonly members: readonly EtcdMember[];
  /** host:port of every member, for clients. */
  readonly endpoints: readonly string[];
  /** As the binary says it. */
  readonly version: string;
  /** Resolves when every member that runs serves. */
  ready(): Promise<void>;
  /** Stops everything and removes the data. */
  stop(): Promise<void>;
}

export interface EtcdProcessesOptions {
  readonly members: 1 | 3;
  /** For every member, beside what makes them a cluster. */
  readonly flags?: readonly string[];
}

/**
 * Gets an etcd that may be killed, starts the members and resolves when they serve. Elections take half a second rather
 * than a whole one, so that leases of one second can be had.
 */
export async function startEtcd({ members: count, flags = [] }: EtcdProcessesOptions): Promise<EtcdProcesses> {
  const { path: binary, version } = getEtcdBinary({ forCrashes: true });
  const data = mkdtempSync(join(tmpdir(), "tidemark-etcd-"));
  const ports = await freePorts(2 * count);
  const names = Array.from({ length: count }, (_, n) => `etcd-${n + 1}`);
  const clientPort = (n: number) => ports[2 * n] ?? 0;
  const peerPort = (n: number) => ports[2 * n + 1] ?? 0;
  const cluster = names.map((name, n) => `${name}=http://127.0.0.1:${peerPort(n)}`).join(",");
  const members = names.map((name, n) =>
    createEtcdMember({
      binary,
      name,
      directory: join(data, name),
      clientPort: clientPort(n),
      peerPort: peerPort(n),
      cluster,
      flags: ["--heartbeat-interval=50", "--election-timeout=500", ...flags],
    }),
  );
  const stop = async () => {
    await Promise.all(members.map((member) => member.stop()));
    rmSync(data, { recursive: true, force: true });
  };
  const ready = async () => {
    await Promise.all(members.map((member) => member.ready()));
  };
  try {
    for (const member of members) member.start();
    await ready();
  } catch (error) {
    await stop();
    throw error;
  }
  return { members, endpoints: members.map(({ endpoint }) => endpoint), version, ready, stop };
}
