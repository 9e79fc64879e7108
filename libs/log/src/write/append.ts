import type { LeaderEpoch, Offset } from "@tidemark/ids";
import { type BatchHeader, nextOffsetOf, readBatchHeader } from "@tidemark/record";
import { assignEpoch, latestEpoch } from "../epochs/epoch-cache.ts";
import { addEpochLine } from "../epochs/epoch-file.ts";
import { LogError } from "../errors.ts";
import { assertOnline, type LogState } from "../log-state.ts";
import { replayInto } from "../producers/producer-state.ts";
import { kick } from "./writer.ts";

/** Offsets of what was appended. */
export interface Appended {
  readonly firstOffset: Offset;
  /** The log end after it. */
  readonly nextOffset: Offset;
}

export interface AppendOptions {
  /**
   * Offsets may be missing between batches and before the first: they come from a leader whose log was compacted,
   * whatever the topic's policy is now. Default: what the settings say.
   */
  readonly gaps?: boolean;
  /** Nobody changes the bytes any more: readers at the log end may be given them as they are. Default false. */
  readonly mayKeep?: boolean;
}

/** Throws a `LogError` when nothing was appended. What becomes of it is told by events. */
export function append(log: LogState, bytes: Uint8Array, options: AppendOptions = {}): Appended {
  const { gaps = log.settings.gaps, mayKeep = false } = options;
  assertAppendable(log);
  const headers = readHeaders(bytes, log, gaps);
  const first = headers[0];
  const last = headers.at(-1);
  if (first === undefined || last === undefined) throw new LogError("INVALID_APPEND", "There is no batch");
  for (const header of headers) {
    addEpoch(log, header.leaderEpoch, header.baseOffset);
    replayInto(log.producers, header);
  }
  log.end = nextOffsetOf(last);
  log.writer.queue.push({ bytes, headers, mayKeep });
  kick(log);
  return { firstOffset: first.baseOffset, nextOffset: log.end };
}

/** Notes that `leaderEpoch` begins at the log end (R8). Written before any later append. */
export function beginEpoch(log: LogState, leaderEpoch: LeaderEpoch): void {
  assertAppendable(log);
  addEpoch(log, leaderEpoch, log.end);
  log.writer.hasEpoch = true;
  kick(log);
}

function assertAppendable(log: LogState): void {
  assertOnline(log);
  if (log.writer.isClosing) throw new LogError("CLOSED", `${log.directory} is being closed`);
  if (log.cutting > 0) throw new LogError("CUTTING", `${log.directory} is being cut`);
}

function addEpoch(log: LogState, leaderEpoch: LeaderEpoch, startOffset: Offset): void {
  if (latestEpoch(log.epochs) === leaderEpoch) return;
  log.epochs = assignEpoch(log.epochs, { leaderEpoch, startOffset });
  addEpochLine(log.epochFile, { leaderEpoch, startOffset });
}

/** The headers of whole batches that follow the log end. Their checksums were checked by whoever took them in. */
function readHeaders(bytes: Uint8Array, log: LogState, gaps: boolean): readonly BatchHeader[] {
  const headers: BatchHeader[] = [];
  let end = log.end;
  let epoch = latestEpoch(log.epochs) ?? 0;
  let at = 0;
  while (at < bytes.length) {
    const step = readBatchHeader(bytes, at);
    if (step.kind !== "ok") throw new LogError("INVALID_APPEND", `No whole batch at byte ${at} of what is appended`);
    const { header } = step;
    if (header.baseOffset !== end && !(gaps && header.baseOffset > end)) {
      throw new LogError("INVALID_APPEND", `A batch at offset ${header.baseOffset} does not follow ${end}`);
    }
    if (header.leaderEpoch < epoch) {
      throw new LogError("INVALID_APPEND", `Leader epoch ${header.leaderEpoch} does not follow ${epoch}`);
    }
    headers.push(header);
    end = nextOffsetOf(header);
    epoch = header.leaderEpoch;
    at += header.sizeInBytes;
  }
  return headers;
}
