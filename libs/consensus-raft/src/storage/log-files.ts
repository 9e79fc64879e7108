/**
 * The log on disk, in segments. Entries are appended in the order of their indexes; what conflicts is cut, durably,
 * before anything stands in its place. Segments are removed from the end or from the beginning, one durable removal
 * after the other, so that a crash never leaves a gap.
 */
import { type Entry, type LogIndex, logIndex, noIndex } from "@tidemark/raft";
import { encodeEntry, encodeMark } from "./frames.ts";
import { segmentHeaderBytes } from "./layout.ts";
import { createSegment, lastOf, type Segment, type SegmentOptions } from "./segment.ts";

export interface LogFiles {
  /** Writes the entries in place of everything that stands at the index of the first one or behind it. */
  append(entries: readonly Entry[]): Promise<void>;
  /** Everything that was written is on stable storage. */
  flush(): Promise<void>;
  /** Notes that the log is flushed, where it is: nothing else waits to be written. */
  mark(): Promise<void>;
  /** Forgets everything: the next entry is `first`. */
  startAt(first: LogIndex): Promise<void>;
  /** Removes the segments that hold nothing behind `through`. */
  dropThrough(through: LogIndex): Promise<void>;
  /** Of all segments. */
  sizeBytes(): number;
  /** In all segments. */
  entries(): number;
  close(): Promise<void>;
}

export interface LogFilesOptions extends SegmentOptions {
  /** A segment that has so many bytes is followed by another one. */
  readonly segmentBytes: number;
}

interface State {
  readonly options: LogFilesOptions;
  /** Oldest first. */
  segments: Segment[];
  flushed: LogIndex;
  /** An entry is not flushed. */
  dirty: boolean;
  marked: boolean;
  /** Something is not flushed, if only a mark. */
  unsynced: boolean;
}

/** `segments`: as recovered, all of it flushed. */
export function createLogFiles(options: LogFilesOptions, segments: readonly Segment[]): LogFiles {
  const state: State = {
    options,
    segments: [...segments],
    flushed: noIndex,
    dirty: false,
    marked: true,
    unsynced: false,
  };
  state.flushed = lastIndex(state);
  return {
    append: (entries) => append(state, entries),
    flush: () => flush(state),
    mark: () => mark(state),
    startAt: (first) => startAt(state, first),
    dropThrough: (through) => dropThrough(state, through),
    sizeBytes: () => state.segments.reduce((sum, { end }) => sum + end, 0),
    entries: () => state.segments.reduce((sum, { positions }) => sum + positions.length, 0),
    async close() {
      for (const { file } of state.segments) await file.close();
    },
  };
}

function lastIndex({ segments }: State): LogIndex {
  const last = segments.at(-1);
  return last === undefined ? noIndex : logIndex(lastOf(last));
}

async function append(state: State, entries: readonly Entry[]): Promise<void> {
  const [first] = entries;
  if (first === undefined) return;
  const last = state.segments.at(-1);
  if (last !== undefined && first.index <= lastOf(last)) await cutFrom(state, first.index);
  let written = 0;
  while (written < entries.length) {
    const segment = await segmentFor(state, logIndex(first.index + written));
    written += await writeSome(state, segment, entries.slice(written));
  }
}

/** The segment that takes the entry `next`: the last one, or a new one where that is full. */
async function segmentFor(state: State, next: LogIndex): Promise<Segment> {
  const last = state.segments.at(-1);
  if (last !== undefined && lastOf(last) + 1 !== next) {
    throw new Error(`Broken invariant: entry ${next} follows on ${lastOf(last)}`);
  }
  if (last !== undefined && last.end < state.options.segmentBytes) return last;
  // A segment that another one follows is whole, its marks too: recovery takes anything else for damage.
  if (state.unsynced) await sync(state);
  const made = await createSegment(state.options, next);
  state.segments.push(made);
  return made;
}

/** Writes as many entries as the segment takes, at least one, and returns how many. */
async function writeSome(state: State, segment: Segment, entries: readonly Entry[]): Promise<number> {
  const chunks: Uint8Array[] = [];
  const start = segment.end;
  let written = 0;
  for (const entry of entries) {
    if (written > 0 && segment.end >= state.options.segmentBytes) break;
    const frame = encodeEntry(entry, state.flushed, segment.codec);
    segment.positions.push(segment.end);
    for (const chunk of frame) {
      chunks.push(chunk);
      segment.end += chunk.length;
    }
    written++;
  }
  state.dirty = true;
  state.marked = false;
  state.unsynced = true;
  await segment.file.write(start, chunks);
  return written;
}

async function flush(state: State): Promise<void> {
  if (state.dirty) await sync(state);
}

async function sync(state: State): Promise<void> {
  await state.segments.at(-1)?.file.sync();
  becomeFlushed(state);
}

function becomeFlushed(state: State): void {
  state.dirty = false;
  state.unsynced = false;
  state.flushed = lastIndex(state);
}

async function mark(state: State): Promise<void> {
  const last = state.segments.at(-1);
  if (state.marked || state.dirty || last === undefined) return;
  const chunks = encodeMark(state.flushed, last.codec);
  const start = last.end;
  for (const { length } of chunks) last.end += length;
  state.marked = true;
  state.unsynced = true;
  await last.file.write(start, chunks);
}

async function cutFrom(state: State, from: LogIndex): Promise<void> {
  for (let last = state.segments.at(-1); last !== undefined && last.first > from; last = state.segments.at(-1)) {
    state.segments.pop();
    await remove(state, last);
  }
  const last = state.segments.at(-1);
  if (last === undefined) return;
  const kept = from - last.first;
  last.end = last.positions[kept] ?? segmentHeaderBytes;
  last.positions.length = kept;
  await last.file.truncate(last.end);
  await last.file.sync();
  becomeFlushed(state);
}

async function startAt(state: State, first: LogIndex): Promise<void> {
  for (let last = state.segments.pop(); last !== undefined; last = state.segments.pop()) await remove(state, last);
  state.segments.push(await createSegment(state.options, first));
  becomeFlushed(state);
}

async function dropThrough(state: State, through: LogIndex): Promise<void> {
  for (let [first] = state.segments; first !== undefined; [first] = state.segments) {
    if (state.segments.length === 1 || lastOf(first) > through) return;
    state.segments.shift();
    await remove(state, first);
  }
}

async function remove({ options: { disk, directory } }: State, { path, file }: Segment): Promise<void> {
  await file.close();
  await disk.remove(path);
  await disk.syncDirectory(directory);
}
