/**
 * Key compaction (L7): of each key the last value stays. Offsets never change; nothing at or above the high watermark,
 * and nothing in the active segment, is touched.
 *
 * A round reads the keys of the dirty part into a bounded map, then writes anew, one after the other, the segments up
 * to where the map reaches, small neighbours into one. What is new is written aside, synced and renamed, so that a crash
 * leaves the old or the new segments.
 * Readers and appends go on; a cut ends the round.
 */
import { DiskError } from "@tidemark/disk";
import type { Offset } from "@tidemark/ids";
import { type BatchHeader, nextOffsetOf, noProducerId } from "@tidemark/record";
import { lesser } from "../bytes.ts";
import { DamageError, LogError } from "../errors.ts";
import { activeSegment, assertOnline, type LogState } from "../log-state.ts";
import { ensureIndex } from "../read/find.ts";
import { damageSeen } from "../read/stable.ts";
import { damageReading } from "../segment/read-or-damage.ts";
import { scanBatches } from "../segment/scan.ts";
import type { Segment } from "../segment/segment.ts";
import { isSpaceError } from "../space.ts";
import { noteGaps } from "../write/gaps.ts";
import { exclusive } from "../write/writer.ts";
import { addRound, firstDirtyOffset, markersGoBelow, writeRounds } from "./cleaner-checkpoint.ts";
import { filterBatch } from "./filter-batch.ts";
import { groupSegments } from "./group-segments.ts";
import { createOffsetMap, type OffsetMap } from "./offset-map.ts";
import { needsRewrite, pieceBytes, rewriteSegments } from "./rewrite-segments.ts";

/** What a round did. */
export interface CompactionReport {
  /** Everything below is compacted now. */
  readonly upTo: Offset;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

/** What a round goes by. */
export interface Round {
  /** Where each key stands last, as far as the map reaches. */
  readonly keys: OffsetMap;
  /** The map knows every key below it. */
  readonly upTo: Offset;
  /** Delete markers below it go. */
  readonly markersBelow: Offset;
  /** The last batch of each producer, which stays for its sequence, even without records. */
  readonly producers: ReadonlyMap<bigint, Offset>;
  /** Where each leader epoch begins: the batch there stays, even without records. */
  readonly epochStarts: ReadonlyMap<number, Offset>;
  /** Where the active segment begins: the batch right before stays, even without records. */
  readonly activeFrom: Offset;
  /** False once the log was cut: what was read may be gone. */
  readonly goesOn: () => boolean;
}

/**
 * Compacts what is dirty, if that is enough of the log (`min.cleanable.dirty.ratio`). `now`: milliseconds since 1970.
 * `cuts`: those that the log had seen when it was asked for. Undefined when there was nothing to do, or the log was cut
 * since, or is being closed.
 */
export async function compact(
  log: LogState,
  { now, cuts }: { readonly now: bigint; readonly cuts: number },
): Promise<CompactionReport | undefined> {
  assertOnline(log);
  const rules = log.settings.compaction;
  if (rules === undefined) return undefined;
  const goesOn = () => log.cuts === cuts && log.status.kind === "online" && !log.writer.isClosing;
  try {
    const dirty = await dirtyRange(log, now);
    if (dirty === undefined) return undefined;
    const mapped = await mapKeys(log, { ...dirty, goesOn }, rules.mapBytes);
    const markersBelow = markersGoBelow(log.cleaned, now, rules.deleteRetentionMs);
    const epochStarts = new Map(log.epochs.map(({ leaderEpoch, startOffset }) => [leaderEpoch, startOffset]));
    const activeFrom = activeSegment(log).baseOffset;
    const round: Round = { ...mapped, markersBelow, epochStarts, activeFrom, goesOn };
    const bytesBefore = sizeBelow(log, round.upTo);
    await expectGaps(log);
    for (const group of groupSegments(log, round.upTo)) {
      if (!goesOn()) return undefined;
      const [only, ...others] = group;
      const isOver = only === undefined || (others.length === 0 && !(await needsRewrite(log, only, round)));
      if (!isOver) await rewriteSegments(log, group, round);
    }
    if (!goesOn()) return undefined;
    log.markersGone = markersBelow;
    log.cleaned = addRound(log.cleaned, { upTo: round.upTo, at: now }, rules.deleteRetentionMs);
    await writeRounds(log.context, log.directory, log.cleaned);
    return { upTo: round.upTo, bytesBefore, bytesAfter: sizeBelow(log, round.upTo) };
  } catch (error) {
    if (!goesOn()) return undefined;
    throw await roundFailed(log, error);
  }
}

/** From now on no reader and no start takes a gap for damage. Durable before there is one. */
function expectGaps(log: LogState): Promise<void> {
  return exclusive(log, async () => {
    if (!log.hasGaps) await noteGaps(log);
  });
}

/** A full disk ends the round and harms nothing; a device that fails is the directory's end (L6). */
async function roundFailed(log: LogState, error: unknown): Promise<unknown> {
  const seen = await damageSeen(log, error);
  if (!(seen instanceof DiskError)) return seen;
  if (isSpaceError(seen)) {
    return new LogError("NO_SPACE", `No space to compact ${log.directory}`, { cause: seen });
  }
  return log.context.fail(seen, `compacting ${log.directory}`);
}

interface DirtyRange {
  readonly from: Offset;
  readonly to: Offset;
}

/** What may be compacted and was not yet. */
async function dirtyRange(log: LogState, now: bigint): Promise<DirtyRange | undefined> {
  const rules = log.settings.compaction;
  if (rules === undefined) return undefined;
  const from = firstDirtyOffset(log.cleaned, log.logStart);
  let to = lesser(activeSegment(log).baseOffset, log.highWatermark);
  let clean = 0;
  let dirty = 0;
  for (const segment of log.segments.slice(0, -1)) {
    if (rules.minLagMs > 0 && segment.nextOffset > from) {
      const { maxTimestamp } = (await ensureIndex(log, segment)).covered;
      if (maxTimestamp > now - BigInt(rules.minLagMs)) to = lesser(to, segment.baseOffset);
    }
    if (segment.nextOffset <= from) clean += segment.size;
    else if (segment.baseOffset < to) dirty += segment.size;
  }
  const hasMarkers = markersGoBelow(log.cleaned, now, rules.deleteRetentionMs) > log.markersGone;
  if (from >= to) return hasMarkers ? { from, to: from } : undefined;
  return dirty >= rules.minDirtyRatio * (clean + dirty) || hasMarkers ? { from, to } : undefined;
}

/** Reads the keys and producers of a range, or of as much of it as the maps hold. */
async function mapKeys(
  log: LogState,
  range: DirtyRange & Pick<Round, "goesOn">,
  mapBytes: number,
): Promise<Pick<Round, "keys" | "upTo" | "producers">> {
  // There are no more keys than offsets.
  const keys = createOffsetMap(mapBytes, Number(range.to - range.from));
  const producers = new Map<bigint, Offset>();
  const full: { at: Offset | undefined } = { at: undefined };
  const { codecs, crc32c } = log.context;
  for (const segment of log.segments) {
    if (full.at !== undefined || segment.nextOffset <= range.from || segment.baseOffset >= range.to) continue;
    await scanSound(log, segment, (header, bytes) => {
      if (header.baseOffset >= range.to || full.at !== undefined || !range.goesOn()) return "done";
      if (nextOffsetOf(header) <= range.from) return undefined;
      if (!noteProducer(producers, header, mapBytes)) {
        full.at = header.baseOffset;
        return "done";
      }
      filterBatch(bytes, header, {
        codecs,
        crc32c,
        keep: (record) => {
          const { key, offset } = record;
          if (full.at !== undefined || key === null || offset < range.from || offset >= range.to) return true;
          if (!keys.put(key, offset)) full.at = offset;
          return true;
        },
      });
      return undefined;
    });
  }
  return { keys, producers, upTo: full.at ?? range.to };
}

/** What a map entry of two bigints takes, rounded up: 85 bytes were measured. */
const bytesPerProducer = 96;
const producersMin = 64;

/** Notes the producer's last batch. False where the map, beside that of the keys an eighth as large, holds no more. */
function noteProducer(producers: Map<bigint, Offset>, header: BatchHeader, mapBytes: number): boolean {
  const { producerId, baseOffset } = header;
  if (producerId === noProducerId) return true;
  const producersMax = Math.max(producersMin, Math.floor(mapBytes / 8 / bytesPerProducer));
  if (producers.size >= producersMax && !producers.has(producerId)) return false;
  producers.set(producerId, baseOffset);
  return true;
}

/** Walks over a segment's batches. Throws DamageError where they are not sound. */
async function scanSound(log: LogState, segment: Segment, visit: Parameters<typeof scanBatches>[2]): Promise<void> {
  const { file, release } = await log.context.files.acquire(segment.path);
  try {
    const source = damageReading(file, segment, () => segment.baseOffset);
    const scan = await scanBatches(
      source,
      { from: 0, to: segment.size, crc32c: log.context.crc32c, pieceBytes },
      visit,
    );
    if (scan.stop.kind === "end" || scan.stop.kind === "refused") return;
    const detail = `No sound batch at byte ${scan.position} of ${segment.path}`;
    throw new DamageError({ kind: "corruptBatch", offset: segment.baseOffset, detail });
  } finally {
    release();
  }
}

function sizeBelow(log: LogState, offset: Offset): number {
  return log.segments.reduce((sum, segment) => (segment.baseOffset < offset ? sum + segment.size : sum), 0);
}
