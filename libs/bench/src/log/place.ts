import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32c } from "@tidemark/compression";
import { createFilePool, createNodeDisk } from "@tidemark/disk";
import type { LeaderEpoch } from "@tidemark/ids";
import {
  allGuards,
  createLogContext,
  createLogFiles,
  defaultLogSettings,
  type Log,
  type LogContext,
  type LogSettings,
  openLog,
} from "@tidemark/log";
import { encodeBatch, stampBatch } from "@tidemark/record";
import { createNodeRuntime } from "@tidemark/runtime";

export const kibi = 1024;
export const mebi = 1024 * kibi;
const recordBytes = 200;

/** A folder of its own on the disk where temporary files are, gone when the work is done. */
export async function inFolder<Value>(work: (folder: string) => Promise<Value>): Promise<Value> {
  const folder = fs.mkdtempSync(join(tmpdir(), "tidemark-bench-"));
  try {
    return await work(folder);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

export function contextIn(folder: string, maxOpenFiles = 1000): LogContext {
  const runtime = createNodeRuntime();
  const disk = createNodeDisk({ runtime });
  return createLogContext({
    name: folder,
    disk,
    files: createFilePool(disk, maxOpenFiles),
    runtime,
    crc32c,
    codecs: {},
    guards: allGuards,
    indexCacheBytes: 64 * mebi,
  });
}

export async function newLog(context: LogContext, directory: string, changed: Partial<LogSettings> = {}): Promise<Log> {
  await createLogFiles({ context, directory });
  return reopenLog(context, directory, changed);
}

export async function reopenLog(
  context: LogContext,
  directory: string,
  changed: Partial<LogSettings> = {},
): Promise<Log> {
  const settings = { ...defaultLogSettings, ...changed };
  const log = await openLog({ context, directory }, { settings, onEvent: () => undefined });
  const { status } = log;
  if (status.kind !== "online") {
    throw new Error(`The log is ${status.kind === "offline" ? status.damage.detail : status.kind}`);
  }
  return log;
}

/** A batch of 200-byte records of about that size. */
export function batchOf(bytes: number): Uint8Array {
  const value = new Uint8Array(recordBytes - 12).fill(120);
  const records = Array.from({ length: Math.max(1, Math.floor(bytes / recordBytes)) }, () => ({
    timestamp: 1_700_000_000_000n,
    key: null,
    value,
    headers: [],
  }));
  return encodeBatch(records, { crc32c });
}

/** Stamps the batch for the log's end and appends it. The batch must have been written before it is used again. */
export function appendTo(log: Log, batch: Uint8Array): void {
  stampBatch(batch, 0, { baseOffset: log.logEndOffset, leaderEpoch: 0 as LeaderEpoch });
  log.append(batch);
}

/** Fills a log with so many bytes, flushed. */
export async function fill(log: Log, bytes: number, batchBytes: number): Promise<void> {
  const batch = batchOf(batchBytes);
  for (let written = 0; written < bytes; written += batch.length) {
    appendTo(log, batch.slice());
    await log.flushed(log.logEndOffset);
  }
}

/** Takes the file out of the page cache, where the system can (`dd` of GNU does). False where it cannot. */
export async function dropFromCache(path: string): Promise<boolean> {
  const { spawnSync } = await import("node:child_process");
  const sync = spawnSync("sync", [path]);
  const dropped = spawnSync("dd", [`if=${path}`, "iflag=nocache", "count=0"], { stdio: "ignore" });
  return sync.status === 0 && dropped.status === 0;
}
