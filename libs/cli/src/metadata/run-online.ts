/** The metadata as the controllers of a running cluster tell them. */
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Client, MetadataEntry, MetadataWatchResponse } from "@tidemark/client";
import { parseExport } from "@tidemark/consensus/transfer";
import { jsonToBytes } from "@tidemark/format";
import { runWithClient, type ServerFlags } from "../commands/command.ts";
import { tellError } from "../errors.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { jsonNumber, print, printJson } from "../output.ts";
import { isUnder, showExported } from "./run-metadata.ts";

/** `metadata ls` over a running cluster. */
export function listKeysOnline(io: Io, under: string, flags: ServerFlags): Promise<number> {
  return runWithClient(io, flags, async ({ client, call }) => {
    const { revision, entries } = await client.metadata.list({ prefix: under }, call);
    const found = entries.filter(({ key }) => isUnder(key, under));
    if (flags.output === "json") {
      const keys = found.map(({ key, value }) => ({ key, bytes: Buffer.byteLength(textOf(value)) }));
      printJson(io, { revision, keys });
    } else for (const { key } of found) print(io, key);
    return exitCodes.done;
  });
}

/** `metadata get` over a running cluster. */
export function showKeyOnline(io: Io, key: string, flags: ServerFlags): Promise<number> {
  return runWithClient(io, flags, async ({ client, call }) => {
    const { entry } = await client.metadata.get({ key }, call);
    if (entry === undefined) {
      const error = new Error(`There is no key ${key}. \`tidemark metadata ls\` shows those there are.`);
      tellError(io, error, { output: flags.output });
      return exitCodes.failed;
    }
    if (flags.output === "json") printJson(io, { key, value: textOf(entry.value) });
    else print(io, textOf(entry.value));
    return exitCodes.done;
  });
}

/** `metadata watch`: all keys under a key, then every change, until Ctrl-C or so many lines. */
export function watchKeys(io: Io, under: string, flags: ServerFlags & { readonly max?: number }): Promise<number> {
  return runWithClient(io, flags, async ({ client, call: { signal } }) => {
    let left = flags.max ?? Number.POSITIVE_INFINITY;
    for await (const event of client.metadata.watch({ prefix: under }, { signal })) {
      for (const line of linesOf(event, under)) {
        if (flags.output === "json") printJson(io, line);
        else print(io, [line.revision, line.change, line.key, line.value ?? ""].join(" ").trimEnd());
        left -= 1;
        if (left <= 0) return exitCodes.done;
      }
    }
    return exitCodes.interrupted;
  });
}

interface WatchLine {
  readonly revision: number | string;
  /** `is`: it was there before the watch began. */
  readonly change: "is" | "put" | "removed";
  readonly key: string;
  readonly value?: string;
}

function linesOf({ revision, put, removed, snapshot }: MetadataWatchResponse, under: string): readonly WatchLine[] {
  const at = jsonNumber(revision);
  const change = snapshot ? "is" : "put";
  const lines = [
    ...put.map(({ key, value }): WatchLine => ({ revision: at, change, key, value: textOf(value) })),
    ...removed.map((key): WatchLine => ({ revision: at, change: "removed", key })),
  ];
  return lines.filter(({ key }) => isUnder(key, under));
}

/** `metadata export` of a running cluster: the file is written only when everything is in hand. */
export function exportOnline(io: Io, file: string, flags: ServerFlags & { readonly seal: boolean }): Promise<number> {
  return runWithClient(io, flags, async ({ client, call: { signal } }) => {
    const text = await readExport(client, { seal: flags.seal, signal });
    const exported = parseExport(text);
    writeFileSync(resolve(io.workingDirectory, file), text, { mode: 0o600 });
    showExported(io, exported, { file, output: flags.output });
    return exitCodes.done;
  });
}

/** The file as the controllers write it. Throws TidemarkError. */
export async function readExport(
  client: Client,
  { seal, signal }: { readonly seal: boolean; readonly signal: AbortSignal },
): Promise<string> {
  let text = "";
  for await (const { part } of client.metadata.export({ seal }, { signal })) text += part;
  return text;
}

/** `metadata unseal` over a running cluster. */
export function unsealOnline(io: Io, flags: ServerFlags): Promise<number> {
  return runWithClient(io, flags, async ({ client, call }) => {
    await client.metadata.unseal({}, call);
    if (flags.output === "json") printJson(io, { unsealed: true });
    else print(io, "The store is not sealed any more: a controller is elected again.");
    return exitCodes.done;
  });
}

function textOf(value: MetadataEntry["value"]): string {
  return value === undefined ? "" : new TextDecoder().decode(jsonToBytes(value));
}
