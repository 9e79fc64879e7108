/** Makes the files of a new log, and opens those that are there. */
import { type DirectoryEntry, DiskError } from "@tidemark/disk";
import type { Offset } from "@tidemark/ids";
import { createAside } from "./aside.ts";
import { createOffsetCheckpoint, readOffsetCheckpoint } from "./checkpoint/offset-checkpoint.ts";
import { encodeSlot, type NotedOffsets } from "./checkpoint/offset-slot.ts";
import { readRounds } from "./compaction/cleaner-checkpoint.ts";
import { type LogContext, syncEntries } from "./context.ts";
import { cutEpochsAtStart, type EpochCache } from "./epochs/epoch-cache.ts";
import { createEpochFile, encodeEpochs, replaceEpochFile } from "./epochs/epoch-file.ts";
import { type Damage, DamageError } from "./errors.ts";
import type { LogListener } from "./events.ts";
import { type Log, offlineLog, startLog } from "./log.ts";
import type { LogState } from "./log-state.ts";
import { epochFileName, join, offsetFileName, parentOf, segmentFileName } from "./names.ts";
import { noProducerState, type ProducerState } from "./producers/producer-state.ts";
import { createCursors } from "./read/cursors.ts";
import { readDamage, writeDamage } from "./recovery/damage-file.ts";
import {
  findAsideSegment,
  findSegments,
  listOrDamage,
  readEpochs,
  removeAsides,
  unlessMissing,
} from "./recovery/find-files.ts";
import { type Recovered, recover } from "./recovery/recover.ts";
import { adopt } from "./recovery/rewrite-tail.ts";
import { createSegment, removeIndex, type Segment } from "./segment/segment.ts";
import { createSerial } from "./serial.ts";
import type { LogSettings } from "./settings.ts";
import { createWriterState } from "./write/writer.ts";

export interface LogPlace {
  readonly context: LogContext;
  /** The log's own directory. Its parent exists. */
  readonly directory: string;
}

export interface OpenLogOptions {
  readonly settings: LogSettings;
  readonly onEvent: LogListener;
  /** Shown every batch with a producer id, up to the log end. */
  readonly producers?: ProducerState;
}

/** Makes an empty log that begins at `startOffset`, durable on return. Fails where there is one. */
export async function createLogFiles({ context, directory }: LogPlace, startOffset = 0n as Offset): Promise<void> {
  const { disk } = context;
  await disk.makeDirectory(directory);
  const offsets = { flushed: startOffset, highWatermark: startOffset, logStart: startOffset };
  const slot = encodeSlot({ sequence: 1n, offsets }, context.crc32c);
  await createAside(context, directory, epochFileName, encodeEpochs([], context));
  await createAside(context, directory, offsetFileName, slot);
  const segment = await disk.create(join(directory, segmentFileName(startOffset, "log")));
  await segment.sync();
  await segment.close();
  await syncEntries(context, directory);
  await syncEntries(context, parentOf(directory));
}

/**
 * Opens a log and recovers it. One that is damaged is opened offline: it says why, and does nothing else. What lies
 * beyond the recovery point can be read at once; it counts as flushed when it was written anew.
 */
export async function openLog({ context, directory }: LogPlace, options: OpenLogOptions): Promise<Log> {
  try {
    const known = await readDamage(context, directory);
    if (known !== undefined) return offlineLog(directory, known);
    return await openSound({ context, directory }, options);
  } catch (error) {
    const damage = damageIn(error);
    if (damage === undefined) throw error;
    await writeDamage(context, directory, damage);
    return offlineLog(directory, damage);
  }
}

/** A sector that cannot be read is this replica's trouble; other errors of the device are the directory's. */
function damageIn(error: unknown): Damage | undefined {
  if (error instanceof DamageError) return error.damage;
  if (!(error instanceof DiskError) || error.code !== "IO" || error.operation !== "read") return undefined;
  return { kind: "unreadable", offset: 0n as Offset, detail: `Cannot read ${error.path}` };
}

async function openSound(
  place: LogPlace,
  { settings, onEvent, producers = noProducerState }: OpenLogOptions,
): Promise<Log> {
  const { context, directory } = place;
  const entries = await listOrDamage(context, directory);
  const checkpoint = await unlessMissing(() => readOffsetCheckpoint(context, directory));
  const found = await readEpochs(context, directory);
  const { segments, recovered } = await recoverSegments(place, settings, {
    entries,
    noted: checkpoint?.offsets,
    epochs: found?.cache,
  });
  const logStart = checkpoint?.offsets.logStart ?? baseOf(segments);
  const epochs = cutEpochsAtStart(recovered.epochs, logStart);
  const epochFile = createEpochFile(directory, found?.size ?? 0);
  if (epochs !== found?.cache) await replaceEpochFile(context, epochFile, epochs);
  if (checkpoint === undefined) await createAside(context, directory, offsetFileName, new Uint8Array(0));
  const highWatermark = checkpoint?.offsets.highWatermark ?? logStart;
  const start = {
    offsets: { flushed: recovered.recoveryPoint, highWatermark, logStart },
    syncedSlot: checkpoint?.syncedSlot ?? 0,
    sequence: checkpoint?.sequence ?? 0n,
  };
  return startLog(
    {
      context,
      directory,
      checkpoint: createOffsetCheckpoint(directory, { start, syncMs: settings.noteSyncMs }),
      epochFile,
      settings,
      segments,
      epochs,
      logStart,
      highWatermark,
      durable: recovered.recoveryPoint,
      flushed: recovered.recoveryPoint,
      written: recovered.end,
      end: recovered.end,
      generation: 0,
      status: { kind: "online" },
      cutting: 0,
      cuts: 0,
      replacing: 0,
      maintenance: createSerial(),
      writer: createWriterState(),
      cursors: createCursors(),
      producers,
      cleaned: await readRounds(context, directory),
      markersGone: 0n as Offset,
      tail: tailOf(recovered),
    },
    onEvent,
  );
}

interface FoundFiles {
  readonly entries: readonly DirectoryEntry[];
  readonly noted: NotedOffsets | undefined;
  readonly epochs: EpochCache | undefined;
}

/** Recovers the segments, and finishes what a crash interrupted. */
async function recoverSegments(
  place: LogPlace,
  settings: LogSettings,
  { entries, noted, epochs }: FoundFiles,
): Promise<{ readonly segments: readonly Segment[]; readonly recovered: Recovered }> {
  const { context, directory } = place;
  let segments = await findSegments(context, directory, entries);
  const recoverAll = () => recover(context, settings, { segments, noted, epochs });
  if (mustStartAnew(segments, noted)) segments = [await startAnew(place, segments, noted.logStart)];
  assertBeginning(directory, segments, noted);
  let recovered = await recoverAll();
  if (mustStartAnew(segments, noted, recovered.end)) {
    segments = [await startAnew(place, segments, noted.logStart)];
    recovered = await recoverAll();
  }
  const aside = await findAsideSegment(context, directory, entries);
  if (aside !== undefined && aside.baseOffset === recovered.end && recovered.tornBytes === 0) {
    await adopt(context, directory, aside);
    const last = segments.at(-1);
    segments = [...segments.filter((segment) => segment.baseOffset !== aside.baseOffset), aside];
    if (last !== undefined) last.nextOffset = aside.baseOffset;
    recovered = await recoverAll();
  }
  await removeAsides(context, directory, entries);
  const below = segments.filter(
    ({ nextOffset }, index) => index < segments.length - 1 && nextOffset <= (noted?.logStart ?? 0n),
  );
  await removeSegmentFiles(context, directory, below);
  return { segments: segments.slice(below.length), recovered };
}

/**
 * Whether a crash interrupted the replacement of the whole log by one that begins at the noted log start. Then nothing
 * above that start was noted as flushed, so nothing that counts goes.
 */
function mustStartAnew(
  segments: readonly Segment[],
  noted: NotedOffsets | undefined,
  end?: Offset,
): noted is NotedOffsets {
  if (noted === undefined || noted.flushed !== noted.logStart) return false;
  const first = segments[0];
  return first === undefined || first.baseOffset > noted.logStart || (end !== undefined && end < noted.logStart);
}

async function startAnew({ context, directory }: LogPlace, segments: readonly Segment[], at: Offset): Promise<Segment> {
  // From the last on, each durably: a crash in between leaves what can be begun anew again.
  for (const segment of segments.toReversed()) await removeSegmentFiles(context, directory, [segment]);
  const first = createSegment(directory, at);
  (await context.files.create(first.path)).release();
  await syncEntries(context, directory);
  return first;
}

async function removeSegmentFiles(context: LogContext, directory: string, segments: readonly Segment[]): Promise<void> {
  if (segments.length === 0) return;
  for (const segment of segments) {
    await removeIndex(context, segment);
    context.files.forget(segment.path);
    await context.disk.remove(segment.path);
  }
  await syncEntries(context, directory);
}

function assertBeginning(directory: string, segments: readonly Segment[], noted: NotedOffsets | undefined): void {
  const first = segments[0];
  if (first !== undefined && (noted === undefined || first.baseOffset <= noted.logStart)) return;
  throw new DamageError({
    kind: first === undefined ? "shortLog" : "brokenSequence",
    offset: noted?.logStart ?? (0n as Offset),
    detail: `${directory} has no segment for its log start`,
  });
}

function tailOf(recovered: Recovered): LogState["tail"] {
  if (recovered.recoveryPoint === recovered.end && recovered.tornBytes === 0) return undefined;
  return { from: recovered.recoveryPoint, tornBytes: recovered.tornBytes };
}

function baseOf(segments: readonly Segment[]): Offset {
  return segments[0]?.baseOffset ?? (0n as Offset);
}
