/** Whether a log that was just opened is what its model allows. */
import type { MemoryDisk } from "@tidemark/disk";
import { decodeRecords, iterateBatches } from "@tidemark/record";
import { epochAt } from "../epochs/epoch-cache.ts";
import type { LogGuards } from "../guards.ts";
import type { Log } from "../log.ts";
import { parseSegmentFileName } from "../names.ts";
import { findSegments } from "../recovery/find-files.ts";
import { buildIndex, readIndex } from "../segment/segment.ts";
import type { LogSettings } from "../settings.ts";
import { everything, logDirectory, openTestLog, testContext } from "./fixture.ts";
import { batchesFrom, type Expected, type ModelBatch, type Version } from "./model.ts";

export interface RecoveryOptions {
  readonly settings?: Partial<LogSettings>;
  readonly guards?: Partial<LogGuards>;
}

/** Opens the log, checks it, lets it flush what it found, cuts the power, and checks that nothing is missing then. */
export async function checkRecovered(
  disk: MemoryDisk,
  options: RecoveryOptions,
  expected: Expected,
): Promise<string[]> {
  const test = await openTestLog(disk, options);
  const first = await violationsOf(test.log, expected);
  if (first.length > 0) return first;
  const content = (await batchesOf(test.log)) ?? [];
  await test.log.flushed(test.log.logEndOffset);
  await test.time.advance(5000);
  const left = (await disk.list(logDirectory)).filter(({ name }) => /\.(aside|swap)$/.test(name));
  if (left.length > 0) return left.map(({ name }) => `${name} is still there`);
  const indexes = await indexViolations(disk, options);
  if (indexes.length > 0) return indexes;
  disk.powerCut();
  const log = await test.reopen();
  if (log.status.kind !== "online")
    return [`offline after another power cut: ${JSON.stringify(log.status, printable)}`];
  const again = (await batchesOf(log)) ?? [];
  return sameBatches(content, again) ? [] : ["what counted as flushed after the start was lost by another power cut"];
}

export async function violationsOf(log: Log, expected: Expected): Promise<string[]> {
  if (log.status.kind !== "online") return [`offline: ${JSON.stringify(log.status, printable)}`];
  const { logStartOffset: start, highWatermark, flushedOffset, logEndOffset: end } = log;
  const found: string[] = [];
  if (end < expected.acknowledged) found.push(`ends at ${end}, acknowledged was ${expected.acknowledged}`);
  if (start < expected.logStartMin || start > expected.logStartMax) found.push(`starts at ${start}`);
  if (start > highWatermark || highWatermark > end || flushedOffset > end) {
    found.push(`offsets out of order: ${start} ${highWatermark} ${flushedOffset} ${end}`);
  }
  const batches = await batchesOf(log);
  if (batches === undefined) return [...found, "a reader does not get from the log start to the log end"];
  if (!expected.versions.some((version) => isPrefix(batches, version, { start, compacted: expected.compacted }))) {
    found.push(
      `has ${batches.map(({ base, next }) => `${base}..${next}`).join(" ")}, which is no prefix of what it may be`,
    );
  }
  found.push(...(await lookupViolations(log, batches)), ...epochViolations(log, batches));
  return found;
}

/**
 * Every batch as it is read, from the log start to the end, but those without records: what compaction or a cut left is of
 * no matter to the model. Undefined where a reader gets stuck before the end.
 */
async function batchesOf(log: Log): Promise<ModelBatch[] | undefined> {
  const batches: ModelBatch[] = [];
  for (let offset = log.logStartOffset; offset < log.logEndOffset; ) {
    const { bytes, nextOffset } = await log.read(offset, everything);
    if (nextOffset <= offset) return undefined;
    for (const step of iterateBatches(bytes)) {
      if (step.kind !== "ok" || step.header.recordCount === 0) continue;
      const { position, sizeInBytes, baseOffset, lastOffsetDelta } = step.header;
      const next = (baseOffset + BigInt(lastOffsetDelta) + 1n) as ModelBatch["next"];
      batches.push({ base: baseOffset, next, bytes: bytes.subarray(position, position + sizeInBytes) });
    }
    offset = nextOffset;
  }
  return batches;
}

function isPrefix(
  batches: readonly ModelBatch[],
  version: Version,
  { start, compacted }: { readonly start: ModelBatch["base"]; readonly compacted: boolean },
): boolean {
  const all = batchesFrom(version, start);
  if (!compacted) return batches.length <= all.length && sameBatches(batches, all.slice(0, batches.length));
  const end = batches.at(-1)?.next ?? start;
  return sameLastValues(
    batches,
    all.filter(({ next }) => next <= end),
  );
}

function sameBatches(some: readonly ModelBatch[], others: readonly ModelBatch[]): boolean {
  return (
    some.length === others.length &&
    some.every(({ bytes }, index) => {
      const other = others[index]?.bytes;
      return other !== undefined && Buffer.compare(bytes, other) === 0;
    })
  );
}

/** Compacted or not, every key has the same last value, and nothing is there that never was. */
function sameLastValues(some: readonly ModelBatch[], all: readonly ModelBatch[]): boolean {
  const before = recordsOf(all);
  const after = recordsOf(some);
  const known = new Set(before.map((record) => record.join(" ")));
  if (after.some((record) => !known.has(record.join(" ")))) return false;
  const last = (records: typeof before) =>
    new Map(records.flatMap(([offset, key, value]) => (value === undefined ? [] : [[key, `${offset} ${value}`]])));
  const deleted = new Set(before.filter(([, , value]) => value === undefined).map(([, key]) => key));
  const [lastBefore, lastAfter] = [last(before), last(after)];
  return [...lastBefore].every(([key, value]) => lastAfter.get(key) === value || deleted.has(key));
}

function recordsOf(batches: readonly ModelBatch[]): [bigint, string, string | undefined][] {
  return batches.flatMap(({ bytes }) => {
    const step = [...iterateBatches(bytes)][0];
    if (step?.kind !== "ok") return [];
    const decoded = decodeRecords(bytes, step.header, { codecs: {}, maxDecompressedBytes: 1e6 });
    if (decoded.kind === "failed") return [];
    return [...decoded.records].map(({ offset, key, value }): [bigint, string, string | undefined] => [
      offset,
      key === null ? "" : Buffer.from(key).toString(),
      value === null ? undefined : Buffer.from(value).toString(),
    ]);
  });
}

/** A lookup by offset finds what a walk over everything found. */
async function lookupViolations(log: Log, batches: readonly ModelBatch[]): Promise<string[]> {
  for (const batch of batches) {
    const offset = batch.base < log.logStartOffset ? log.logStartOffset : batch.base;
    const { bytes } = await log.read(offset, { maxBytes: 1 });
    if (Buffer.compare(bytes, batch.bytes) !== 0)
      return [`the lookup of ${offset} finds ${bytes.length} other bytes than the ${batch.bytes.length} of its batch`];
  }
  return [];
}

function epochViolations(log: Log, batches: readonly ModelBatch[]): string[] {
  for (const { base, bytes } of batches) {
    const step = [...iterateBatches(bytes)][0];
    const offset = base < log.logStartOffset ? log.logStartOffset : base;
    if (step?.kind === "ok" && epochAt(log.epochs, offset) !== step.header.leaderEpoch) {
      return [`the epoch cache has ${epochAt(log.epochs, offset)} at ${offset}, the batch ${step.header.leaderEpoch}`];
    }
  }
  const isRising = log.epochs.every((entry, index) => {
    const before = log.epochs[index - 1];
    return before === undefined || (before.leaderEpoch < entry.leaderEpoch && before.startOffset <= entry.startOffset);
  });
  return isRising ? [] : ["the epoch cache does not rise"];
}

/** No segment reaches into the next one, and an index file that proves itself is what reading the segment gives. */
async function indexViolations(disk: MemoryDisk, options: RecoveryOptions): Promise<string[]> {
  const context = testContext(disk, undefined, options);
  const entries = await disk.list(logDirectory);
  const logs = entries.filter(({ name }) => parseSegmentFileName(name)?.kind === "log");
  const segments = await findSegments(context, logDirectory, logs);
  for (const segment of segments.slice(0, -1)) {
    const { nextOffset } = (await buildIndex(context, segment, 4096)).covered;
    if (nextOffset > segment.nextOffset) return [`${segment.path} goes on to ${nextOffset}, beyond the next segment`];
  }
  for (const segment of segments) {
    const read = await readIndex(context, segment);
    if (read === undefined) continue;
    const built = await buildIndex(
      context,
      { ...segment, size: read.covered.bytes },
      options.settings?.indexIntervalBytes ?? 4096,
    );
    const entriesOf = (index: typeof read) =>
      JSON.stringify(
        [
          [...index.offsets.items.subarray(0, index.offsets.length)],
          [...index.positions.items.subarray(0, index.positions.length)],
          index.covered,
        ],
        printable,
      );
    if (entriesOf(read) !== entriesOf(built))
      return [`the index of ${segment.path} is not that of its log: ${entriesOf(read)} and ${entriesOf(built)}`];
  }
  return [];
}

function printable(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
