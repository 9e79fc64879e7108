/**
 * The idempotent producers of one partition, as its log tells of them (R11). Every replica keeps it by the batches that
 * it appends, so a new leader has it without asking anybody; what is in doubt is decided by what stands in the log.
 *
 * | the batch's                                  | with the window                        | verdict                            |
 * |----------------------------------------------|----------------------------------------|------------------------------------|
 * | producer is not known                        | sequence 0                             | append, if there is room           |
 * |                                              | sequence 0, and its id was not given   | PRODUCER_ID_NOT_GIVEN              |
 * |                                              | sequence 0, and the table is full      | TOO_MANY_PRODUCERS                 |
 * |                                              | another sequence                       | UNKNOWN_PRODUCER                   |
 * | producer epoch is older                      |                                        | FENCED_PRODUCER                    |
 * | producer epoch is newer                      | sequence 0                             | append                             |
 * |                                              | another sequence                       | OUT_OF_ORDER_SEQUENCE              |
 * | producer epoch is the same                   | follows the last batch                 | append                             |
 * |                                              | is one of the batches                  | repeat, with that batch's offsets  |
 * |                                              | ends at or below the last batch        | DUPLICATE_SEQUENCE                 |
 * |                                              | ends above, with a gap or an overlap   | OUT_OF_ORDER_SEQUENCE              |
 *
 * 1. A verdict tells what the log holds, committed or not: a repeat is answered when the original is committed.
 * 2. What was appended last and is refused by the disk is taken back exactly; a cut of the log builds the table anew.
 * 3. The table has a largest size, so that nobody fills the memory with ids. Where it is full, a new producer takes the place
 *    of the one that was silent the longest, if that is longer than anybody would send a batch again; otherwise it is
 *    refused. Who is known goes on. A follower takes what its leader took, also where that has a larger size: it forgets
 *    nobody for it who may still have a batch on its way, up to twice its own size or the default one.
 * 4. A producer that sent nothing for the expiry is forgotten. Time counts from when this broker saw its last batch, or
 *    read it at a start; what a snapshot says of its silence before counts too. Never too early, whatever time the batch
 *    carries and however long the broker was away.
 */
import type { Offset } from "@tidemark/ids";
import { allGuards, type ReplicationGuards } from "../guards.ts";
import { createJournal } from "./journal.ts";
import {
  isAfter,
  lastSequenceOf,
  nextSequence,
  type ProducerBatch,
  type ProducerStamp,
  windowBatchOf,
} from "./producer-batch.ts";
import { type ProducerEntry, readProducers, writeProducers } from "./snapshot.ts";

export interface ProducerSettings {
  /** `producer.window.batches`: how many batches of a producer are remembered. At least 1. */
  readonly windowBatches: number;
  /** `producer.id.expiration.ms`: how long a producer that sends nothing is remembered. */
  readonly expirationMs: number;
  /** `producer.ids.max.per.partition`: how many producers are remembered. At least 1. */
  readonly idsMax: number;
}

/** The documented defaults. */
export const defaultProducerSettings: ProducerSettings = Object.freeze({
  windowBatches: 64,
  expirationMs: 86_400_000,
  idsMax: 10_000,
});

/** A producer that was silent for so long has nothing on its way, in milliseconds: deliveries are given up before. */
const quietMs = 900_000;

export type SequenceRefusal =
  | "UNKNOWN_PRODUCER"
  | "FENCED_PRODUCER"
  | "OUT_OF_ORDER_SEQUENCE"
  | "PRODUCER_ID_NOT_GIVEN"
  | "TOO_MANY_PRODUCERS";

export type ProducerVerdict =
  | { readonly kind: "append" }
  /** The log holds it: in [baseOffset, endOffset). */
  | { readonly kind: "repeat"; readonly baseOffset: Offset; readonly endOffset: Offset }
  /** The log holds it, at offsets that are not known any more; all of it is committed when the high watermark is at `endOffset`. */
  | { readonly kind: "applied"; readonly endOffset: Offset }
  | { readonly kind: "refuse"; readonly reason: SequenceRefusal };

/** What a leader asks before it appends a batch of a producer. */
export interface ProducerLookup {
  /** False while the log is behind what was ordered, so that nobody can say what it holds. */
  readonly isCurrent: boolean;
  check(batch: ProducerStamp): ProducerVerdict;
  /** Forgets every producer: what a leader does that does not take them over. Only tests have one. */
  forget(): void;
}

export interface ProducerTable extends ProducerLookup {
  /** Producers that are known. */
  readonly size: number;
  /** Begins with what a snapshot holds; with nobody where it is undefined. */
  restore(snapshot: Uint8Array | undefined): void;
  /** A batch stands in the log. In the order of the offsets. */
  replay(batch: ProducerBatch): void;
  /** What lies below `upTo` is written: it is not taken back. */
  written(upTo: Offset): void;
  /** The log took nothing at or above `from`, which is not below what was written. */
  takeBack(from: Offset): void;
  snapshot(): Uint8Array;
  /** Time passes: who has been silent for too long is forgotten. `nowMs`: monotonic. */
  tick(nowMs: number): void;
}

const append: ProducerVerdict = Object.freeze({ kind: "append" });

export function createProducerTable(
  settings: ProducerSettings = defaultProducerSettings,
  guards: ReplicationGuards = allGuards,
  /** Whether an id was given out to anybody, as far as is known. Asked for producers that are not known. */
  isGivenOut: (producerId: bigint) => boolean = () => true,
): ProducerTable {
  /** In the order in which they were seen last. */
  const producers = new Map<bigint, ProducerEntry>();
  const journal = createJournal(producers);
  let nowMs: number | undefined;
  let sweptMs = 0;
  /** How long those of a snapshot had been silent, until the clock is known. */
  let silences = new Map<bigint, number>();
  /** When they were seen at the latest who were known before the log is read anew; empty otherwise. */
  let seenBefore = new Map<bigint, number>();
  const keptMax = 2 * Math.max(settings.idsMax, defaultProducerSettings.idsMax);

  const longestSilent = (): ProducerEntry | undefined => {
    for (const entry of producers.values()) return entry;
    return undefined;
  };
  /** Whether nothing of it can be on its way any more. */
  const isQuiet = ({ seenMs }: ProducerEntry) =>
    nowMs !== undefined && seenMs !== undefined && nowMs - seenMs >= Math.min(quietMs, settings.expirationMs);
  const isFull = () => {
    const first = longestSilent();
    return producers.size >= settings.idsMax && first !== undefined && !isQuiet(first);
  };
  const earlier = (one: number | undefined, other: number | undefined) =>
    one === undefined || other === undefined ? (one ?? other) : Math.min(one, other);
  const makeRoom = (onForgotten: (entry: ProducerEntry) => void) => {
    for (
      let entry = longestSilent();
      entry !== undefined && (producers.size > keptMax || (producers.size > settings.idsMax && isQuiet(entry)));
      entry = longestSilent()
    ) {
      producers.delete(entry.producerId);
      onForgotten(entry);
    }
  };

  return {
    isCurrent: true,
    get size() {
      return producers.size;
    },
    check(batch) {
      const known = producers.get(batch.producerId);
      const verdict = checkSequence(known, batch, guards);
      if (known !== undefined || verdict.kind !== "append") return verdict;
      if (!isGivenOut(batch.producerId)) return refuse("PRODUCER_ID_NOT_GIVEN");
      return isFull() ? refuse("TOO_MANY_PRODUCERS") : verdict;
    },
    forget() {
      producers.clear();
      journal.clear();
    },
    restore(snapshot) {
      for (const { producerId, seenMs } of producers.values())
        if (seenMs !== undefined) seenBefore.set(producerId, seenMs);
      producers.clear();
      journal.clear();
      silences = new Map();
      for (const { silentMs, ...entry } of readProducers(snapshot)) {
        const { producerId, batches } = entry;
        // A smaller window than the one that the snapshot was made with.
        batches.splice(0, batches.length - settings.windowBatches);
        if (nowMs === undefined) silences.set(producerId, silentMs);
        const seenMs = nowMs === undefined ? undefined : earlier(nowMs - silentMs, seenBefore.get(producerId));
        producers.set(producerId, { ...entry, seenMs });
      }
      makeRoom(() => undefined);
    },
    replay(batch) {
      const { producerId, producerEpoch } = batch;
      const known = producers.get(producerId);
      const seenMs = seenBefore.get(producerId) ?? nowMs;
      silences.delete(producerId);
      producers.delete(producerId);
      if (known?.producerEpoch !== producerEpoch) {
        journal.note(batch.baseOffset, producerId, { kind: "replaced", before: known });
        producers.set(producerId, { producerId, producerEpoch, batches: [windowBatchOf(batch)], seenMs });
        makeRoom((before) => {
          journal.note(batch.baseOffset, before.producerId, { kind: "forgotten", before });
        });
        return;
      }
      producers.set(producerId, known);
      known.batches.push(windowBatchOf(batch));
      known.seenMs = seenMs;
      const evicted = known.batches.length > settings.windowBatches ? known.batches.shift() : undefined;
      journal.note(batch.baseOffset, producerId, { kind: "pushed", evicted });
    },
    written: (upTo) => {
      if (seenBefore.size > 0) seenBefore = new Map();
      journal.forgetBelow(upTo);
    },
    takeBack: (from) => {
      journal.undoFrom(from);
    },
    snapshot: () => writeProducers([...producers.values()], nowMs),
    tick(atMs) {
      if (nowMs === undefined) {
        for (const entry of producers.values()) entry.seenMs ??= atMs - (silences.get(entry.producerId) ?? 0);
        silences = new Map();
      }
      nowMs = atMs;
      // Often enough to forget within an eighth of the expiry, seldom enough to cost nothing.
      if (atMs - sweptMs < settings.expirationMs / 8) return;
      sweptMs = atMs;
      for (const [id, entry] of producers) {
        entry.seenMs ??= atMs;
        if (atMs - entry.seenMs >= settings.expirationMs) producers.delete(id);
      }
    },
  };
}

function checkSequence(
  known: ProducerEntry | undefined,
  batch: ProducerStamp,
  guards: ReplicationGuards,
): ProducerVerdict {
  if (known === undefined) return batch.baseSequence === 0 ? append : gap(guards, "UNKNOWN_PRODUCER");
  if (batch.producerEpoch < known.producerEpoch && guards.producerEpochFenced) return refuse("FENCED_PRODUCER");
  if (batch.producerEpoch !== known.producerEpoch) {
    return batch.baseSequence === 0 ? append : gap(guards, "OUT_OF_ORDER_SEQUENCE");
  }
  const { batches } = known;
  const last = batches.at(-1);
  if (last === undefined || batch.baseSequence === nextSequence(last.lastSequence)) return append;
  const lastSequence = lastSequenceOf(batch);
  const same = batches.findLast(
    (each) => each.baseSequence === batch.baseSequence && each.lastSequence === lastSequence,
  );
  if (same !== undefined) return { kind: "repeat", baseOffset: same.baseOffset, endOffset: same.endOffset };
  if (isAfter(lastSequence, last.lastSequence)) return gap(guards, "OUT_OF_ORDER_SEQUENCE");
  const holding = batches.find((each) => !isAfter(lastSequence, each.lastSequence)) ?? last;
  return { kind: "applied", endOffset: holding.endOffset };
}

function refuse(reason: SequenceRefusal): ProducerVerdict {
  return { kind: "refuse", reason };
}

function gap(guards: ReplicationGuards, reason: SequenceRefusal): ProducerVerdict {
  return guards.sequenceGapRefused ? refuse(reason) : append;
}
