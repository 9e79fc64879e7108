/**
 * What a log must be, kept as plain arrays beside it: the yardstick of the property tests and of the crash points.
 */

import type { Offset } from "@tidemark/ids";
import { nextOffsetOf, readBatchHeader } from "@tidemark/record";
import { greater, lesser } from "../bytes.ts";
import type { LogEvent } from "../events.ts";
import { at, type TestLog } from "./fixture.ts";

export interface ModelBatch {
  readonly base: Offset;
  readonly next: Offset;
  readonly bytes: Uint8Array;
}

/** One history that a log may have after a crash: a prefix of it, from the log start on. */
export interface Version {
  /** Where it began, or begins anew. */
  readonly start: Offset;
  readonly batches: readonly ModelBatch[];
}

/** What must hold of a log that is recovered now. */
export interface Expected {
  /** One, or two while a cut is under way. */
  readonly versions: readonly Version[];
  /** Everything below was told to be flushed and not cut since. */
  readonly acknowledged: Offset;
  readonly logStartMin: Offset;
  readonly logStartMax: Offset;
  /** Records whose keys have later values may be missing. */
  readonly compacted: boolean;
}

/** Drives a log and its model together. */
export interface Driver {
  readonly expected: Expected;
  readonly test: TestLog;
  /** Appends without waiting. */
  append(...batches: readonly Uint8Array[]): void;
  /** Appends and waits until it is flushed. */
  flush(...batches: readonly Uint8Array[]): Promise<void>;
  cut(offset: number): Promise<void>;
  startAnew(offset: number): Promise<void>;
  deleteBelow(offset: number): Promise<void>;
  /** Applies retention, whatever the settings say. */
  retain(now: bigint): Promise<void>;
  compact(now: bigint): Promise<void>;
  /** After a power cut with flush=async: what was told as flushed was not on stable storage (P2). */
  doubtAcknowledged(): void;
  /** After a crash: what was found is what is from now on. */
  adopt(): void;
}

export function createDriver(test: TestLog, onExpected: (expected: Expected) => void = () => undefined): Driver {
  let expected: Expected = {
    versions: [{ start: test.log.logStartOffset, batches: [] }],
    acknowledged: test.log.logStartOffset,
    logStartMin: test.log.logStartOffset,
    logStartMax: test.log.logStartOffset,
    compacted: false,
  };
  const update = (changes: Partial<Expected>) => {
    expected = { ...expected, ...changes };
    onExpected(expected);
  };
  const current = (): Version => expected.versions.at(-1) ?? { start: at(0), batches: [] };
  test.onEvent = (event: LogEvent) => {
    if (event.kind === "flushed" && event.upTo > expected.acknowledged) update({ acknowledged: event.upTo });
  };
  update({});

  const driver: Driver = {
    test,
    get expected() {
      return expected;
    },
    append(...batches) {
      for (const bytes of batches) {
        const version = current();
        update({ versions: [{ ...version, batches: [...version.batches, modelBatch(bytes)] }] });
        // Some of them may be kept.
        test.log.append(bytes, { mayKeep: version.batches.length % 3 > 0 });
      }
    },
    async flush(...batches) {
      driver.append(...batches);
      await test.log.flushed(test.log.logEndOffset);
    },
    async cut(offset) {
      const cut = at(offset);
      const version = current();
      const below = (end: Offset) => ({ ...version, batches: version.batches.filter(({ next }) => next <= end) });
      const kept = below(cut);
      const lowest = lesser(kept.batches.at(-1)?.next ?? version.start, test.log.writtenOffset);
      update({ versions: [version, kept], acknowledged: lesser(expected.acknowledged, lowest) });
      // What was appended and not yet written is dropped by a cut, wherever it is.
      update({ versions: [below(await test.log.truncateTo(cut))] });
    },
    async startAnew(offset) {
      const start = at(offset);
      const anew: Version = { start, batches: [] };
      update({
        versions: [current(), anew],
        acknowledged: at(0),
        logStartMin: lesser(expected.logStartMin, start),
        logStartMax: greater(expected.logStartMax, start),
      });
      await test.log.startAnewAt(start);
      update({ versions: [anew], acknowledged: start, logStartMin: start, logStartMax: start });
    },
    async deleteBelow(offset) {
      update({ logStartMax: at(offset) });
      await test.log.moveLogStart(at(offset));
      update({ logStartMin: at(offset) });
    },
    async retain(now) {
      update({ logStartMax: greater(expected.logStartMax, test.log.highWatermark) });
      await test.log.applyRetention(now);
      update({ logStartMin: test.log.logStartOffset, logStartMax: test.log.logStartOffset });
    },
    async compact(now) {
      update({ compacted: true });
      await test.log.compact(now);
    },
    doubtAcknowledged() {
      update({ acknowledged: expected.logStartMin });
    },
    adopt() {
      const version = current();
      const { logStartOffset, flushedOffset, logEndOffset } = test.log;
      const batches = batchesFrom(version, logStartOffset).filter(({ next }) => next <= logEndOffset);
      update({
        versions: [{ ...version, batches }],
        acknowledged: flushedOffset,
        logStartMin: logStartOffset,
        logStartMax: logStartOffset,
      });
    },
  };
  return driver;
}

function modelBatch(bytes: Uint8Array): ModelBatch {
  const found = readBatchHeader(bytes);
  if (found.kind !== "ok" || found.header.sizeInBytes !== bytes.length) throw new Error("Not one batch");
  return { base: found.header.baseOffset, next: nextOffsetOf(found.header), bytes };
}

/** The batches of `version` that a log has which starts at `logStart`. */
export function batchesFrom(version: Version, logStart: Offset): readonly ModelBatch[] {
  return version.batches.filter(({ next }) => next > logStart);
}
