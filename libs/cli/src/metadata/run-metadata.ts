import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import {
  exportStore,
  formatExport,
  importStore,
  type MetadataExport,
  parseExport,
  snapshotOf,
} from "@tidemark/consensus/transfer";
import { controllerId, directoryId } from "@tidemark/ids";
import { createNodeRuntime, randomUuid } from "@tidemark/runtime";
import type { OutputFormat, ServerFlags } from "../commands/command.ts";
import { tellError } from "../errors.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { print, printJson } from "../output.ts";
import { UsageError } from "../settings.ts";
import { type OpenedStore, openStore, type StoreFlags } from "./open-store.ts";

export type MetadataFlags = StoreFlags & ServerFlags;

/** As which the tool seals: no controller has this id. */
const toolId = controllerId(2_000_000_000);

/** Runs `work` with the store that the flags name. Failures are told. */
async function withStore(io: Io, flags: MetadataFlags, work: (store: OpenedStore) => Promise<number>): Promise<number> {
  try {
    const store = await openStore(io, flags);
    try {
      return await work(store);
    } finally {
      await store.close();
    }
  } catch (error) {
    if (error instanceof UsageError) throw error;
    if (io.interrupted.aborted) return exitCodes.interrupted;
    tellError(io, error, { output: flags.output });
    return exitCodes.failed;
  }
}

/** `metadata ls`: keys under a key, with the size of their values. */
export function listKeys(io: Io, under: string, flags: MetadataFlags): Promise<number> {
  return withStore(io, flags, async (store) => {
    const { revision, entries } = await snapshotOf(store.candidate(), io.interrupted);
    const keys = [...entries].filter(([key]) => isUnder(key, under)).sort();
    if (flags.output === "json") {
      printJson(io, { revision, keys: keys.map(([key, value]) => ({ key, bytes: value.length })) });
    } else for (const [key] of keys) print(io, key);
    return exitCodes.done;
  });
}

/** Whether a key is this one or stands below it. */
export function isUnder(key: string, under: string): boolean {
  return under === "/" || key === under || key.startsWith(`${under}/`);
}

/** `metadata get`: one value, as it is kept. */
export function showKey(io: Io, key: string, flags: MetadataFlags): Promise<number> {
  return withStore(io, flags, async (store) => {
    const { entries } = await snapshotOf(store.candidate(), io.interrupted);
    const value = entries.get(key);
    if (value === undefined) throw new Error(`There is no key ${key}. \`tidemark metadata ls\` shows those there are.`);
    const text = new TextDecoder().decode(value);
    if (flags.output === "json") printJson(io, { key, value: text });
    else print(io, text);
    return exitCodes.done;
  });
}

/** `metadata export`: writes the file only when everything is in hand. */
export function exportTo(io: Io, file: string, flags: MetadataFlags & { readonly seal: boolean }): Promise<number> {
  return withStore(io, flags, async (store) => {
    const identity = {
      controllerId: toolId,
      directoryId: directoryId(randomUuid(createNodeRuntime().random)),
      endpoint: "tidemark-metadata-export:1",
    };
    const exported = await exportStore(store.candidate(), {
      sealAs: flags.seal ? identity : undefined,
      signal: io.interrupted,
    });
    writeFileSync(resolve(io.workingDirectory, file), formatExport(exported), { mode: 0o600 });
    showExported(io, exported, { file, output: flags.output });
    return exitCodes.done;
  });
}

/** What an export wrote, and what may be done now. */
export function showExported(
  io: Io,
  { clusterId, revision, controllerEpoch, sealed, entries }: MetadataExport,
  { file, output }: { readonly file: string; readonly output: OutputFormat },
): void {
  if (output === "json") {
    printJson(io, { file, clusterId, revision, controllerEpoch, sealed, keys: entries.size });
    return;
  }
  print(io, `${entries.size} keys of cluster ${clusterId} at revision ${revision} are in ${file}.`);
  print(
    io,
    sealed
      ? "The store is sealed: it takes nothing more. Import the file elsewhere, or run `tidemark metadata unseal`."
      : "The store goes on: this is a backup.",
  );
}

/** `metadata import`. */
export function importFrom(
  io: Io,
  file: string,
  flags: MetadataFlags & { readonly epochFloor: number },
): Promise<number> {
  return withStore(io, flags, async (store) => {
    const exported = parseExport(readFileSync(resolve(io.workingDirectory, file), "utf8"));
    const { epochFloor } = flags;
    const imported = await importStore(store.link, exported, {
      epochFloor,
      random: createNodeRuntime().random,
      signal: io.interrupted,
    });
    if (flags.output === "json") printJson(io, { clusterId: exported.clusterId, ...imported });
    else print(io, `${imported.keys} keys of cluster ${exported.clusterId} are in the ${store.backend} store.`);
    return exitCodes.done;
  });
}

/** `metadata unseal`. */
export function unsealStore(io: Io, flags: MetadataFlags): Promise<number> {
  return withStore(io, flags, async (store) => {
    const consensus = store.candidate();
    await consensus.sync(io.interrupted);
    const outcome = await consensus.unseal();
    if (outcome.kind !== "committed") throw new Error(outcome.message);
    if (flags.output === "json") printJson(io, { unsealed: true });
    else print(io, "The store is not sealed any more: controllers may run on it again.");
    return exitCodes.done;
  });
}
