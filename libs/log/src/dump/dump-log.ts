/**
 * Reads a log offline and says what is in it, where it is damaged, and what recovery would do. Changes nothing, and takes
 * no lock: what a running broker writes meanwhile may look torn.
 */
import { createFilePool, type DirectoryEntry, type Disk, DiskError } from "@tidemark/disk";
import { type Codecs, type Crc32c, nextOffsetOf } from "@tidemark/record";
import { createManualTime } from "@tidemark/runtime";
import { greater } from "../bytes.ts";
import { readOffsetCheckpoint } from "../checkpoint/offset-checkpoint.ts";
import type { NotedOffsets } from "../checkpoint/offset-slot.ts";
import { createLogContext, type LogContext } from "../context.ts";
import { type EpochCache, epochAt } from "../epochs/epoch-cache.ts";
import { type Damage, DamageError } from "../errors.ts";
import { allGuards } from "../guards.ts";
import { parentOf, parseSegmentFileName } from "../names.ts";
import { assertBeginning, newBeginning } from "../recovery/beginning.ts";
import { readDamage } from "../recovery/damage-file.ts";
import { assertFiles, findAsideSegment, findSegments, readEpochs, unlessMissing } from "../recovery/find-files.ts";
import { recover } from "../recovery/recover.ts";
import { createSegment, type Segment } from "../segment/segment.ts";
import { defaultLogSettings } from "../settings.ts";
import { sayGaps } from "../write/gaps.ts";
import { type BatchDump, type BatchDuties, dumpSegment, type SegmentDump } from "./dump-segment.ts";

export interface DumpOptions extends BatchDuties {
  readonly disk: Disk;
  readonly crc32c: Crc32c;
  /** To show records of compressed batches. */
  readonly codecs: Codecs;
}

/**
 * | kind      | what a start would do                                                        |
 * |-----------|------------------------------------------------------------------------------|
 * | nothing   | everything up to `end` was flushed                                           |
 * | rewrite   | write what lies from `from` to `end` anew, and cut `tornBytes` behind it      |
 * | startAnew | begin anew at `at`, empty: a crash interrupted that                          |
 * | offline   | take the replica offline                                                     |
 */
export type RecoveryOutlook =
  | { readonly kind: "nothing"; readonly end: bigint }
  | { readonly kind: "rewrite"; readonly from: bigint; readonly end: bigint; readonly tornBytes: number }
  | { readonly kind: "startAnew"; readonly at: bigint }
  | { readonly kind: "offline"; readonly damage: Damage };

export interface LogDump {
  readonly path: string;
  readonly segments: readonly SegmentDump[];
  /** Undefined for a single segment, and when the checkpoint is missing or not whole. */
  readonly noted: NotedOffsets | undefined;
  readonly epochs: EpochCache | undefined;
  /** Undefined for a single segment. */
  readonly recovery: RecoveryOutlook | undefined;
  /** Empty when everything is sound: what `--verify` goes by. */
  readonly problems: readonly string[];
}

/** Reads a log's directory, or one `.log` file. Throws a DiskError when there is no such thing. */
export async function dumpLog(options: DumpOptions, path: string): Promise<LogDump> {
  const context = readOnlyContext(options, path);
  try {
    return path.endsWith(".log") ? await dumpFile(context, options, path) : await dumpDirectory(context, options, path);
  } finally {
    await context.files.close();
  }
}

async function dumpFile(context: LogContext, options: DumpOptions, path: string): Promise<LogDump> {
  const named = parseSegmentFileName(path.slice(path.lastIndexOf("/") + 1));
  if (named === undefined) throw new DiskError("NOT_FOUND", "dump", path);
  const segment = createSegment(parentOf(path), named.baseOffset);
  const { file, release } = await context.files.acquire(path);
  try {
    segment.size = await file.size();
  } finally {
    release();
  }
  const dump = await dumpSegment(context, segment, { ...options, isLast: true, hasGaps: true });
  return { path, segments: [dump], noted: undefined, epochs: undefined, recovery: undefined, problems: dump.problems };
}

async function dumpDirectory(context: LogContext, options: DumpOptions, path: string): Promise<LogDump> {
  const entries = await context.disk.list(path);
  const noted = (await unlessMissing(() => readOffsetCheckpoint(context, path)))?.offsets;
  const epochs = (await readEpochs(context, path))?.cache;
  const segments = await findSegments(context, path, entries);
  const dumps: SegmentDump[] = [];
  let misfit: string | undefined;
  const onBatch = (batch: BatchDump) => {
    misfit ??= epochMisfit(batch, epochs);
    options.onBatch?.(batch);
  };
  const hasGaps = sayGaps(entries);
  for (const segment of segments) {
    const isLast = segment === segments.at(-1);
    dumps.push(await dumpSegment(context, segment, { ...options, isLast, hasGaps, onBatch }));
  }
  const aside = await findAsideSegment(context, path, entries);
  const recovery = await outlook(context, { path, entries, segments, aside, noted, epochs });
  const problems = dumps.flatMap((dump) => dump.problems);
  if (noted === undefined) problems.push("offset-checkpoint is missing or not whole");
  if (epochs === undefined) problems.push("leader-epoch-checkpoint is missing or not whole");
  if (misfit !== undefined) problems.push(misfit);
  if (recovery.kind === "offline") problems.push(`a start takes this replica offline: ${recovery.damage.detail}`);
  return { path, segments: dumps, noted, epochs, recovery, problems };
}

/** A list of leader epochs that is not that of the batches would have replicas cut where they agree, or not where they do not. */
function epochMisfit({ path, position, header }: BatchDump, epochs: EpochCache | undefined): string | undefined {
  const first = epochs?.[0];
  if (epochs === undefined || first === undefined || nextOffsetOf(header) <= first.startOffset) return undefined;
  const listed = epochAt(epochs, greater(header.baseOffset, first.startOffset));
  if (listed === header.leaderEpoch) return undefined;
  const batch = `the batch at ${header.baseOffset} is of leader epoch ${header.leaderEpoch}`;
  return `${path} at byte ${position}: ${batch}; leader-epoch-checkpoint has ${listed} there`;
}

async function outlook(
  context: LogContext,
  found: {
    readonly path: string;
    readonly entries: readonly DirectoryEntry[];
    readonly segments: readonly Segment[];
    readonly aside: Segment | undefined;
    readonly noted: NotedOffsets | undefined;
    readonly epochs: EpochCache | undefined;
  },
): Promise<RecoveryOutlook> {
  const known = await readDamage(context, found.path, found.entries);
  if (known !== undefined) return { kind: "offline", damage: known };
  const { noted } = found;
  try {
    assertFiles(found.path, found.entries);
    const anew = newBeginning(found.segments, noted);
    if (anew !== undefined) return { kind: "startAnew", at: anew };
    assertBeginning(found.path, found.segments, noted);
    // A start goes by the topic's policy too, which is not told here; a tail gets gaps only where a file says so first.
    const settings = { ...defaultLogSettings, gaps: sayGaps(found.entries) };
    let recovered = await recover(context, settings, found);
    const anewBehind = newBeginning(found.segments, noted, recovered.end);
    if (anewBehind !== undefined) return { kind: "startAnew", at: anewBehind };
    const { aside } = found;
    if (aside !== undefined && aside.baseOffset === recovered.end && recovered.tornBytes === 0) {
      const segments = found.segments.filter((segment) => segment.baseOffset !== aside.baseOffset);
      recovered = await recover(context, settings, { ...found, segments: [...segments, aside] });
    }
    const { end, recoveryPoint, tornBytes } = recovered;
    if (recoveryPoint === end && tornBytes === 0) return { kind: "nothing", end };
    return { kind: "rewrite", from: recoveryPoint, end, tornBytes };
  } catch (error) {
    if (error instanceof DamageError) return { kind: "offline", damage: error.damage };
    throw error;
  }
}

/** The log's own reading parts, over a disk on which nothing can be changed. */
function readOnlyContext({ disk, crc32c, codecs }: DumpOptions, name: string): LogContext {
  const refuse = (operation: string) => async (path: string) => {
    throw new DiskError("DENIED", operation, path);
  };
  const readOnly: Disk = {
    open: (path) => disk.open(path, { readOnly: true }),
    list: (path) => disk.list(path),
    create: refuse("create"),
    makeDirectory: refuse("makeDirectory"),
    rename: refuse("rename"),
    remove: refuse("remove"),
    syncDirectory: refuse("syncDirectory"),
    lock: refuse("lock"),
  };
  const files = createFilePool(readOnly, 16);
  const still = createManualTime();
  return createLogContext({
    name,
    disk: readOnly,
    files,
    runtime: still,
    crc32c,
    codecs,
    guards: allGuards,
    indexCacheBytes: 0,
  });
}
