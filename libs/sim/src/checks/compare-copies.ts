import { type Codecs, nextOffsetOf, type StoredRecord } from "@tidemark/record";
import { recordsIn, type StoredBatch, type StoredLog } from "./stored-batches.ts";

/** What one broker holds of a partition. */
export interface Copy extends StoredLog {
  readonly broker: number;
}

/** Offsets that are compared: from the largest log start on, below the high watermark. */
export interface ComparedRange {
  readonly from: bigint;
  readonly to: bigint;
}

/**
 * Where two copies of a partition differ below its high watermark, in words; undefined where none do.
 *
 * Copies of a log that is never compacted hold the same batches, byte for byte. Each broker compacts for itself and when
 * it likes: of a compacted log no offset has two records, and every copy has the same last value of each key.
 */
export function compareCopies(
  copies: readonly Copy[],
  range: ComparedRange,
  rules: { readonly isCompacted: boolean; readonly codecs: Codecs },
): string | undefined {
  const [first, ...others] = copies;
  if (first === undefined) return undefined;
  const isCompacted = rules.isCompacted || copies.some((copy) => copy.isCompacted);
  for (const other of others) {
    const between = `brokers ${first.broker} and ${other.broker}`;
    const difference = isCompacted
      ? compareCompacted(first, other, range, rules.codecs)
      : compareBytes(within(first.batches, range), within(other.batches, range));
    if (difference !== undefined) return `${between} differ from ${range.from} to ${range.to}: ${difference}`;
  }
  return undefined;
}

function within(batches: readonly StoredBatch[], { from, to }: ComparedRange): readonly StoredBatch[] {
  return batches.filter(({ header }) => nextOffsetOf(header) > from && header.baseOffset < to);
}

function compareBytes(left: readonly StoredBatch[], right: readonly StoredBatch[]): string | undefined {
  for (const [at, { header, bytes }] of left.entries()) {
    const other = right[at];
    if (other === undefined) return `one ends at ${header.baseOffset}`;
    if (Buffer.compare(bytes, other.bytes) === 0) continue;
    return `the batch at ${header.baseOffset} of leader epoch ${header.leaderEpoch} is another one there, at ${other.header.baseOffset} of leader epoch ${other.header.leaderEpoch}`;
  }
  const next = right[left.length];
  return next === undefined ? undefined : `one ends at ${next.header.baseOffset}`;
}

function compareCompacted(left: Copy, right: Copy, range: ComparedRange, codecs: Codecs): string | undefined {
  const recordsOf = ({ batches }: Copy) =>
    within(batches, range)
      .flatMap((batch) => recordsIn(batch, codecs))
      .filter(({ offset }) => offset >= range.from && offset < range.to);
  const [ours, theirs] = [recordsOf(left), recordsOf(right)];
  const byOffset = new Map(theirs.map((record) => [record.offset, record]));
  for (const record of ours) {
    const other = byOffset.get(record.offset);
    if (other !== undefined && !isSame(record, other)) return `offset ${record.offset} has two records`;
  }
  const [last, lastThere] = [lastValues(ours), lastValues(theirs)];
  for (const [key, record] of last) {
    if (lastThere.get(key)?.offset !== record.offset)
      return `the last value of ${key} is at ${record.offset} in one only`;
  }
  const more = [...lastThere].find(([key]) => !last.has(key));
  return more === undefined ? undefined : `the last value of ${more[0]} is at ${more[1].offset} in one only`;
}

/** By key: its last record, where that is no delete marker. Those live as long as each broker's compaction lets them. */
function lastValues(records: readonly StoredRecord[]): ReadonlyMap<string, StoredRecord> {
  const last = new Map<string, StoredRecord>();
  for (const record of records) {
    const key = Buffer.from(record.key ?? []).toString("hex");
    if (record.value === null) last.delete(key);
    else last.set(key, record);
  }
  return last;
}

function isSame(left: StoredRecord, right: StoredRecord): boolean {
  return isSameBytes(left.key, right.key) && isSameBytes(left.value, right.value);
}

function isSameBytes(left: Uint8Array | null, right: Uint8Array | null): boolean {
  if (left === null || right === null) return left === right;
  return Buffer.compare(left, right) === 0;
}
