import type { LeaderEpoch, Offset } from "@tidemark/ids";
import { assert } from "../assert.ts";
import type { EpochStart } from "../leader-epochs.ts";
import type { PersistEffect } from "../outputs.ts";
import type { ProducerStamp } from "../producers/producer-batch.ts";
import type { ProducerTable } from "../producers/producer-table.ts";
import type { FlushGeneration, LogSnapshot } from "../replica-log.ts";
import type { BatchRange } from "../replica-messages.ts";

/** A batch whose content is one number that no other batch has. */
export interface SimulatedBatch extends BatchRange {
  readonly value: number;
  /** Of an idempotent producer. */
  readonly producer?: ProducerStamp;
}

/** A flush that was begun and has not ended. */
export interface SimulatedFlush {
  readonly upTo: Offset;
  readonly generation: FlushGeneration;
}

/**
 * The log of one broker on one disk. What was written survives the death of the process; what was flushed survives a
 * power cut too. `durable` is the truth about the disk, whatever the partition machine believes.
 */
export interface SimulatedLog {
  batches: SimulatedBatch[];
  epochs: EpochStart[];
  start: Offset;
  end: Offset;
  durable: Offset;
  generation: FlushGeneration;
  flushes: SimulatedFlush[];
  /** The high watermark as checkpointed last. */
  checkpoint: Offset;
}

export function createSimulatedLog(): SimulatedLog {
  const zero = 0n as Offset;
  return {
    batches: [],
    epochs: [],
    start: zero,
    end: zero,
    durable: zero,
    generation: 0 as FlushGeneration,
    flushes: [],
    checkpoint: zero,
  };
}

/** Performs an ordered write. `batches` are those of the append. */
export function perform(log: SimulatedLog, effect: PersistEffect, batches: readonly SimulatedBatch[]): void {
  switch (effect.kind) {
    case "epochStart":
      noteEpoch(log, effect.leaderEpoch, effect.startOffset);
      return;
    case "appendAsLeader":
    case "appendAsFollower":
      for (const batch of batches) {
        noteEpoch(log, batch.leaderEpoch, batch.baseOffset);
        log.batches.push(batch);
      }
      log.end = effect.endOffset;
      return;
    case "truncate":
      cut(log, effect.cut);
      assert((log.batches.at(-1)?.endOffset ?? log.start) === effect.cut, "a log is cut between two batches");
      log.epochs = log.epochs.filter((entry) => entry.startOffset < effect.cut);
      log.generation = effect.generation;
      return;
    case "restart":
      log.batches = [];
      log.epochs = [];
      log.start = effect.offset;
      log.end = effect.offset;
      if (log.durable > effect.offset) log.durable = effect.offset;
      log.checkpoint = effect.offset;
      log.generation = effect.generation;
      return;
    case "advanceLogStart":
      advanceStart(log, effect.logStart);
      return;
  }
}

/** Begins a flush of all that was written, unless one of this generation is out or nothing is new. */
export function beginFlush(log: SimulatedLog): void {
  if (log.end === log.durable || log.flushes.some((flush) => flush.generation === log.generation)) return;
  log.flushes.push({ upTo: log.end, generation: log.generation });
}

/** Shows every batch of a producer that stands in the log. */
export function replayProducers(table: ProducerTable, batches: readonly SimulatedBatch[]): void {
  for (const { producer, baseOffset } of batches) if (producer !== undefined) table.replay({ ...producer, baseOffset });
}

/** Ends the flush at `index`. A flush from before a cut makes nothing durable that was written after it (L9). */
export function endFlush(log: SimulatedLog, index: number): SimulatedFlush | undefined {
  const [flush] = log.flushes.splice(index, 1);
  if (flush !== undefined && flush.generation === log.generation && flush.upTo > log.durable) log.durable = flush.upTo;
  return flush;
}

/** The process is gone: flushes that were out never end, and generations count anew. */
export function killProcess(log: SimulatedLog): void {
  log.flushes = [];
  log.generation = 0 as FlushGeneration;
}

/** The machine is gone too: of what was not flushed only what lies below `keep` is left. */
export function cutPower(log: SimulatedLog, keep: Offset): void {
  killProcess(log);
  const kept = keep > log.durable ? keep : log.durable;
  const whole = log.batches.findLast((batch) => batch.endOffset <= kept)?.endOffset ?? log.start;
  const end = whole < log.start ? log.start : whole;
  if (end < log.end) cut(log, end);
  log.epochs = log.epochs.filter((entry) => entry.startOffset <= log.end);
}

/** What was flushed is gone from `to` on, and nobody noticed. */
export function damageLog(log: SimulatedLog, to: Offset): void {
  cut(log, to);
  log.epochs = log.epochs.filter((entry) => entry.startOffset <= to);
}

/** What the partition is opened with. What lies above the flushed offset is readable and proves nothing (L4). */
export function snapshotOf(log: SimulatedLog): LogSnapshot {
  return { startOffset: log.start, endOffset: log.end, flushedOffset: log.durable, leaderEpochs: [...log.epochs] };
}

/** Batches of [from, upTo), at most `limit` of them. */
export function readLog(log: SimulatedLog, from: Offset, upTo: Offset, limit: number): readonly SimulatedBatch[] {
  let index = log.batches.length;
  while (index > 0 && (log.batches[index - 1]?.endOffset ?? 0n) > from) index--;
  const found: SimulatedBatch[] = [];
  for (; index < log.batches.length && found.length < limit; index++) {
    const batch = log.batches[index];
    if (batch === undefined || batch.endOffset > upTo) break;
    found.push(batch);
  }
  return found;
}

function cut(log: SimulatedLog, at: Offset): void {
  log.batches = log.batches.filter((batch) => batch.endOffset <= at);
  log.end = at;
  if (log.durable > at) log.durable = at;
  if (log.checkpoint > at) log.checkpoint = at;
}

function advanceStart(log: SimulatedLog, logStart: Offset): void {
  log.start = logStart;
  if (log.checkpoint < logStart) log.checkpoint = logStart;
  log.batches = log.batches.filter((batch) => batch.endOffset > logStart);
  const spanning = log.epochs.findLastIndex((entry) => entry.startOffset <= logStart);
  log.epochs = log.epochs
    .slice(Math.max(0, spanning))
    .map((entry) => (entry.startOffset < logStart ? { ...entry, startOffset: logStart } : entry));
}

function noteEpoch(log: SimulatedLog, leaderEpoch: LeaderEpoch, startOffset: Offset): void {
  const latest = log.epochs.at(-1);
  if (latest === undefined || leaderEpoch > latest.leaderEpoch) log.epochs.push({ leaderEpoch, startOffset });
}
