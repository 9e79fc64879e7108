/** Makes the files of a new log, and opens those that are there. */
import { type DirectoryEntry, DiskError } from "@tidemark/disk";
import type { Offset } from "@tidemark/ids";
import { createAside } from "./aside.ts";
import { failureOfDevice } from "./bad-sector.ts";
import { readCutNote } from "./checkpoint/cut-note.ts";
import { createOffsetCheckpoint, recoverOffsetCheckpoint } from "./checkpoint/offset-checkpoint.ts";
import { encodeSlot, encodeSlotFile, type NotedOffsets } from "./checkpoint/offset-slot.ts";
import { readRounds } from "./compaction/cleaner-checkpoint.ts";
import { finishSwaps } from "./compaction/swap.ts";
import { type LogContext, syncEntries } from "./context.ts";
import { cutEpochsAtStart, type EpochCache } from "./epochs/epoch-cache.ts";
import { createEpochFile, encodeEpochs, replaceEpochFile } from "./epochs/epoch-file.ts";
import { type Damage, DamageError } from "./errors.ts";
import type { LogListener } from "./events.ts";
import { type Log, offlineLog, startLog } from "./log.ts";
import type { LogState } from "./log-state.ts";
import { cutNoteFileName, epochFileName, join, offsetFileName, parentOf, segmentFileName } from "./names.ts";
import { noProducerState, type ProducerState } from "./producers/producer-state.ts";
import { createCursors } from "./read/cursors.ts";
import { assertBeginning, newBeginning } from "./recovery/beginning.ts";
import { readDamage, writeDamage } from "./recovery/damage-file.ts";
import {
  assertFiles,
  findAsideSegment,
  findSegments,
  listOrDamage,
  readEpochs,
  removeAsides,
  unlessMissing,
} from "./recovery/find-files.ts";
import { type Recovered, recover } from "./recovery/recover.ts";
import { adopt, cutFile } from "./recovery/rewrite-tail.ts";
import { createSegment, createSegmentFile, removeIndex, type Segment } from "./segment/segment.ts";
import { createSerial } from "./serial.ts";
import type { LogSettings } from "./settings.ts";
import { findGaps, sayGaps } from "./write/gaps.ts";
import { createWriterState } from "./write/writer.ts";

export interface LogPlace {
  readonly context: LogContext;
  /** The log's own directory. Its parent exists. */
  readonly directory: string;
}

/** What a start found, beside the log itself: what people should hear of. */
export interface StartReport {
  /**
   * False where the noted offsets are gone, which no crash does. Everything was read and nothing of it is wrong, and yet
   * nobody can tell whether the log once had more, or began later.
   */
  readonly hadNotes: boolean;
  /** False where the leader epochs were read from the batches. */
  readonly hadEpochs: boolean;
  /** True where a note of what cuts took is there and cannot be read: whoever was to be told of them is not. */
  readonly lostCutNote: boolean;
  /** Offsets that nothing says were flushed: they are written anew before they count (L4). */
  readonly unflushed: { readonly from: Offset; readonly end: Offset };
  /** Bytes behind the log end that are no batches. They are cut, and kept aside. */
  readonly tornBytes: number;
}

export interface OpenLogOptions {
  readonly settings: LogSettings;
  readonly onEvent: LogListener;
  /** Told once where the log is opened online, before `openLog` resolves. */
  readonly onStart?: (report: StartReport) => void;
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
  await createAside(context, directory, offsetFileName, encodeSlotFile(slot));
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
    const entries = await listOrDamage(context, directory);
    const known = await readDamage(context, directory, entries);
    if (known !== undefined) return offlineLog(directory, known);
    assertFiles(directory, entries);
    return await openSound({ context, directory }, entries, options);
  } catch (error) {
    const damage = damageIn(error);
    if (damage === undefined) throw error;
    const failure = await failureOfDevice(context, error);
    if (failure !== undefined) throw failure;
    await writeDamage(context, directory, damage);
    return offlineLog(directory, damage);
  }
}

/** A sector that cannot be read is this replica's trouble, unless no other can be; other errors of the device are the directory's. */
function damageIn(error: unknown): Damage | undefined {
  if (error instanceof DamageError) return error.damage;
  if (!(error instanceof DiskError) || error.code !== "IO" || error.operation !== "read") return undefined;
  return { kind: "unreadable", offset: 0n as Offset, detail: `Cannot read ${error.path}` };
}

async function openSound(
  place: LogPlace,
  listed: readonly DirectoryEntry[],
  { settings, onEvent, onStart, producers = noProducerState }: OpenLogOptions,
): Promise<Log> {
  const { context, directory } = place;
  const hadSwaps = await finishSwaps(context, directory, listed);
  const entries = hadSwaps ? await listOrDamage(context, directory) : listed;
  const checkpoint = await unlessMissing(() => recoverOffsetCheckpoint(context, directory));
  const found = await readEpochs(context, directory);
  const { segments, recovered } = await recoverSegments(place, settings, {
    entries,
    noted: checkpoint?.offsets,
    epochs: found?.cache,
  });
  const logStart = checkpoint?.offsets.logStart ?? baseOf(segments);
  const epochs = cutEpochsAtStart(recovered.epochs, logStart);
  const flushed = checkpoint?.offsets.flushed ?? 0n;
  const epochFile = createEpochFile(directory, { end: found?.size ?? 0, cache: epochs, flushed });
  if (epochs !== found?.cache) await replaceEpochFile(context, epochFile, epochs);
  if (checkpoint === undefined) await createAside(context, directory, offsetFileName, encodeSlotFile());
  const hasCutNote = entries.some(({ name }) => name === cutNoteFileName);
  const cutNote = hasCutNote ? await readCutNote(context, directory) : undefined;
  const highWatermark = checkpoint?.offsets.highWatermark ?? logStart;
  const start = {
    offsets: { flushed: recovered.recoveryPoint, highWatermark, logStart },
    syncedSlot: checkpoint?.syncedSlot ?? 0,
    sequence: checkpoint?.sequence ?? 0n,
  };
  onStart?.({
    hadNotes: checkpoint !== undefined,
    hadEpochs: found !== undefined,
    lostCutNote: hasCutNote && cutNote === undefined,
    unflushed: { from: recovered.recoveryPoint, end: recovered.end },
    tornBytes: recovered.tornBytes,
  });
  return startLog({
    context,
    directory,
    checkpoint: createOffsetCheckpoint(directory, { start, syncMs: settings.noteSyncMs }),
    epochFile,
    settings,
    segments,
    epochs,
    logStart,
    storedLogStart: logStart,
    highWatermark,
    durable: recovered.recoveryPoint,
    flushed: recovered.recoveryPoint,
    written: recovered.end,
    end: recovered.end,
    generation: 0,
    status: { kind: "online" },
    noting: undefined,
    cutting: 0,
    cuts: 0,
    replacing: undefined,
    maintenance: createSerial(),
    writer: createWriterState(),
    cursors: createCursors(),
    recent: undefined,
    producers,
    snapshotAt: undefined,
    cutNote,
    cleaned: await readRounds(context, directory, recovered.end),
    markersGone: 0n as Offset,
    hasGaps: await findGaps(context, directory, {
      entries,
      isCompacted: (settings.gaps || hadSwaps) && recovered.end > baseOf(segments),
    }),
    tail: tailOf(recovered),
    onEvent,
    waiters: undefined,
  });
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
  const saysGaps = sayGaps(entries);
  // Whoever made an empty segment, or the file that says so, may have died before its name was durable: what is appended
  // would go with the one, or be taken for damage without the other.
  if (segments.at(-1)?.size === 0 || saysGaps) await syncEntries(context, directory);
  const gaps = settings.gaps || saysGaps;
  const recoverAll = () => recover(context, { ...settings, gaps }, { segments, noted, epochs });
  const startAnewIf = async (at: Offset | undefined): Promise<boolean> => {
    if (at !== undefined) segments = [await startAnew(place, segments, at)];
    return at !== undefined;
  };
  await startAnewIf(newBeginning(segments, noted));
  assertBeginning(directory, segments, noted);
  let recovered = await recoverAll();
  if (await startAnewIf(newBeginning(segments, noted, recovered.end))) recovered = await recoverAll();
  const aside = await findAsideSegment(context, directory, entries);
  if (aside !== undefined && aside.baseOffset === recovered.end && recovered.tornBytes === 0) {
    const last = segments.at(-1);
    // Else a power cut could bring back, behind the beginning of the one that is adopted, what that one begins with.
    if (last !== undefined) await cutFile(context, last, last.size);
    await adopt(context, directory, aside);
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

async function startAnew({ context, directory }: LogPlace, segments: readonly Segment[], at: Offset): Promise<Segment> {
  // From the last on, each durably: a crash in between leaves what can be begun anew again.
  for (const segment of segments.toReversed()) await removeSegmentFiles(context, directory, [segment]);
  const first = createSegment(directory, at);
  await createSegmentFile(context, first);
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

function tailOf(recovered: Recovered): LogState["tail"] {
  if (recovered.recoveryPoint === recovered.end && recovered.tornBytes === 0) return undefined;
  return { from: recovered.recoveryPoint, tornBytes: recovered.tornBytes };
}

function baseOf(segments: readonly Segment[]): Offset {
  return segments[0]?.baseOffset ?? (0n as Offset);
}
