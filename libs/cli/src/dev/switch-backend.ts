/**
 * Moves the metadata of a running cluster to another backend.
 *
 * 1. The members of etcd that the new backend needs are started, and etcd has to answer.
 * 2. The active controller seals the old store and writes everything out: from here nothing changes, and brokers go on.
 * 3. The new store is made from that. A store that stands in its place from an earlier move is set aside.
 * 4. The controllers are started on the new store, and what is left of the old backend's processes is stopped.
 *
 * What fails before the fourth step takes the seal off again: the cluster goes on as it was.
 */
import { existsSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Client, createClient } from "@tidemark/client";
import { crc32c } from "@tidemark/compression";
import { importedContent, importStore, type MetadataExport, parseExport } from "@tidemark/consensus/transfer";
import { formatAddress, formatDirectory, memberDirectory } from "@tidemark/consensus-raft";
import { createNodeDisk } from "@tidemark/disk";
import { controllerId, directoryId } from "@tidemark/ids";
import { createNodeRuntime } from "@tidemark/runtime";
import type { Io } from "../io.ts";
import { openStore } from "../metadata/open-store.ts";
import { readExport } from "../metadata/run-online.ts";
import { places } from "./data-folder.ts";
import { type ProcessSpec, processName } from "./layout.ts";
import { backendReference, type ClusterPlan, endpoint, metadataDirectory } from "./process-config.ts";
import type { CommandResult, Supervisor } from "./supervisor.ts";

export interface SwitchOptions {
  readonly from: ClusterPlan;
  /** The same cluster on the other backend. */
  readonly to: ClusterPlan;
  readonly supervisor: Supervisor;
  /** From now on processes are started as this plan says. */
  readonly adopt: (plan: ClusterPlan) => void;
  readonly io: Pick<Io, "env">;
  readonly say: (line: string) => void;
}

type ParsedExport = ReturnType<typeof parseExport>;

/** How long an active controller is awaited to seal, and to take the seal off, milliseconds. */
const sealTimeoutMs = 30_000;

/** How long etcd may take to answer, milliseconds. */
const etcdTimeoutMs = 5000;

/** Resolves when the cluster runs on the other backend, or goes on as it was. */
export async function switchBackend(options: SwitchOptions): Promise<CommandResult> {
  const { from, to, supervisor } = options;
  const [gateway] = from.specs.filter(({ role }) => role === "gateway");
  if (gateway === undefined) return failed("There is no gateway to ask the controllers through.");
  const added = specsOf(to, "etcd").filter(({ id }) => !specsOf(from, "etcd").some((known) => known.id === id));
  for (const member of added) setAside(join(to.data, processName(member), "data"));
  const started = await startAll(supervisor, specsOf(to, "etcd"));
  if (started !== undefined) return failed(started);
  const problem = await refusalOf(options);
  if (problem !== undefined) return failed(`${problem}: nothing was changed.`);
  const client = await createClient({ bootstrap: endpoint(gateway, "client") });
  let exported: ParsedExport;
  try {
    exported = await moveOut(options, client);
    await moveIn(options, client, exported);
  } catch (error) {
    await client.metadata.unseal({}, { timeoutMs: sealTimeoutMs }).catch(() => undefined);
    return failed(`${messageOf(error)} The cluster stays on ${from.backend}.`);
  } finally {
    client.close();
  }
  return startOnTarget(options);
}

/** Seals the old store. What it held is kept as a file beside the settings, whatever comes. */
async function moveOut({ from, to, say }: SwitchOptions, client: Client): Promise<ParsedExport> {
  const signal = AbortSignal.timeout(sealTimeoutMs);
  const text = await readExport(client, { seal: true, signal });
  const file = join(places.config(from.data), `moved-to-${to.backend}.json`);
  writeFileSync(file, text, { mode: 0o600 });
  say(`The metadata of ${from.backend} are sealed, and in ${file}.`);
  return parseExport(text);
}

async function moveIn({ to, io }: SwitchOptions, client: Client, exported: ParsedExport): Promise<void> {
  const controllers = specsOf(to, "controller");
  const [first] = controllers;
  if (first === undefined) throw new Error("Broken invariant: a cluster has a controller.");
  switch (to.backend) {
    case "raft":
      await formatMoved(to, { client, exported });
      return;
    case "single":
      setAside(join(metadataDirectory(first, to.data), "single"));
      await importInto(`single://${metadataDirectory(first, to.data)}`, { io, data: to.data, exported });
      return;
    case "etcd":
      await importInto(backendReference(to), { io, data: to.data, exported });
  }
}

/** Why an etcd that runs already cannot be used, found out before anything is sealed. */
async function refusalOf({ to, io }: SwitchOptions): Promise<string | undefined> {
  if (to.backend !== "etcd") return undefined;
  try {
    const store = await openTarget(backendReference(to), { io, data: to.data });
    await store.close();
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function openTarget(backend: string, { io, data }: { readonly io: Pick<Io, "env">; readonly data: string }) {
  const set = { "consensus.etcd.start.timeout.ms": String(etcdTimeoutMs) };
  return openStore({ env: io.env, workingDirectory: data }, { backend, set });
}

async function importInto(
  backend: string,
  { io, data, exported }: { readonly io: Pick<Io, "env">; readonly data: string; readonly exported: ParsedExport },
): Promise<void> {
  const signal = AbortSignal.timeout(sealTimeoutMs);
  const store = await openTarget(backend, { io, data });
  try {
    await importStore(store.link, exported, { epochFloor: 0, random: createNodeRuntime().random, signal });
  } finally {
    await store.close();
  }
}

/** Every controller is a first voter, under the id that its directory has. */
async function formatMoved(
  to: ClusterPlan,
  { client, exported }: { readonly client: Client; readonly exported: MetadataExport },
): Promise<void> {
  const disk = createNodeDisk({ runtime: createNodeRuntime() });
  const { members } = await client.metadata.describeQuorum({}, { timeoutMs: sealTimeoutMs });
  const voters = specsOf(to, "controller").map((spec) => {
    const found = members.find((member) => member.controllerId === spec.id);
    if (found === undefined) throw new Error(`controller-${spec.id} does not run: start it, then switch.`);
    const address = formatAddress({ controllerId: controllerId(spec.id), endpoint: endpoint(spec, "internal") });
    return { spec, id: directoryId(found.directoryId), address };
  });
  const { entries } = importedContent(exported, 0);
  for (const { spec, id } of voters) {
    const directory = memberDirectory(metadataDirectory(spec, to.data));
    setAside(directory);
    const identity = { directoryId: id, clusterId: exported.clusterId };
    const named = voters.map((voter) => ({ id: voter.id, address: voter.address }));
    await formatDirectory({ disk, directory, crc32c, identity, voters: named, entries });
  }
}

async function startOnTarget({ from, to, supervisor, adopt }: SwitchOptions): Promise<CommandResult> {
  const controllers = specsOf(from, "controller");
  for (const { name } of named(controllers)) await supervisor.stop(name);
  adopt(to);
  const problem = await startAll(supervisor, to.backend === "single" ? controllers.slice(0, 1) : controllers);
  if (to.backend !== "etcd" || to.etcdEndpoints !== undefined) {
    for (const { name } of named(specsOf(from, "etcd"))) await supervisor.stop(name);
  }
  if (problem !== undefined)
    return failed(`${problem} The metadata are in ${to.backend} all the same: nothing is lost.`);
  return { ok: true, message: `The cluster keeps its metadata in ${to.backend} now.` };
}

/** Why one of them did not start. */
async function startAll(supervisor: Supervisor, specs: readonly ProcessSpec[]): Promise<string | undefined> {
  const results = await Promise.all(named(specs).map(({ name }) => supervisor.start(name)));
  return results.find(({ ok }) => !ok)?.message;
}

function specsOf({ specs }: ClusterPlan, role: ProcessSpec["role"]): readonly ProcessSpec[] {
  return specs.filter((spec) => spec.role === role);
}

function named(specs: readonly ProcessSpec[]) {
  return specs.map((spec) => ({ name: processName(spec) }));
}

/** What an earlier move left: it is sealed, and out of date. */
function setAside(path: string): void {
  if (!existsSync(path)) return;
  let count = 1;
  while (existsSync(`${path}.left-${count}`)) count += 1;
  renameSync(path, `${path}.left-${count}`);
}

function failed(message: string): CommandResult {
  return { ok: false, message };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
