/** One answer out of the answers of several leaders, within the limits that the caller gave for the whole. */
import { create, toBinary } from "@bufbuild/protobuf";
import {
  type FetchedPartition,
  FetchedPartitionSchema,
  type FetchPartition,
  FetchPartitionSchema,
  type FetchRequest,
  FetchRequestSchema,
  type FetchResponse,
  FetchResponseSchema,
} from "@tidemark/proto/log/v1";
import { readBatchHeader } from "@tidemark/record";

/** What an answer holds at most. One partition's share is handed out in any case, so that a reader gets on. */
export interface FetchLimits {
  readonly records: number;
  readonly bytes: number;
}

/** A partition as it was asked for, with what its leader said. */
export interface Fetched {
  readonly asked: FetchPartition;
  readonly answer: FetchedPartition;
}

/** Bytes of what was read, encoded. */
export function sizeOfFetched(answer: FetchedPartition): number {
  if (answer.batches.length > 0) return answer.batches.length;
  return answer.records.length === 0 ? 0 : toBinary(FetchedPartitionSchema, answer).length;
}

/** Whether something was read. */
export function hasRecords({ batches, records }: FetchedPartition): boolean {
  return batches.length > 0 || records.length > 0;
}

/**
 * The partitions in the order in which they were asked for. `next` asks first for those that had to give way, so that
 * pasting it again and again serves every partition.
 */
export function mergeFetched(request: FetchRequest, fetched: readonly Fetched[], limits: FetchLimits): FetchResponse {
  const shares = fairShares(
    fetched.map(({ answer }) => answer.records.length),
    limits.records,
  );
  const cut = fetched.map(({ asked, answer }, index) => ({ asked, answer: keepRecords(answer, shares[index] ?? 0) }));
  let bytes = 0;
  const gaveWay = new Set<number>();
  const kept = cut.map((each) => {
    const size = sizeOfFetched(each.answer);
    if (size === 0 || bytes === 0 || bytes + size <= limits.bytes) {
      bytes += size;
      return each;
    }
    gaveWay.add(each.asked.partition);
    return { asked: each.asked, answer: dropAll(each) };
  });
  const isFirst = ({ asked, answer }: Fetched) => gaveWay.has(asked.partition) || isStarved(answer);
  const order = [...kept.filter(isFirst), ...kept.filter((each) => !isFirst(each))];
  return create(FetchResponseSchema, {
    partitions: kept.map(({ answer }) => answer),
    next: create(FetchRequestSchema, { ...request, partitions: order.map(nextOf) }),
  });
}

/** Its leader gave it nothing though there is more: a batch above its share is handed out only to who is named first. */
function isStarved(answer: FetchedPartition): boolean {
  return answer.error === undefined && !hasRecords(answer) && answer.nextOffset < answer.highWatermark;
}

/** Splits `total` so that nobody gets more than he has, and nobody less than another who has more than he got. */
export function fairShares(counts: readonly number[], total: number): number[] {
  const shares = counts.map(() => 0);
  const rising = counts.map((count, index) => ({ count, index })).sort((a, b) => a.count - b.count);
  let left = total;
  for (const [place, { count, index }] of rising.entries()) {
    const share = Math.min(count, Math.ceil(left / (rising.length - place)));
    shares[index] = share;
    left -= share;
  }
  return shares;
}

/** The first `count` records; what follows is read again from its offset. */
export function keepRecords(answer: FetchedPartition, count: number): FetchedPartition {
  const firstLeft = answer.records[count];
  if (firstLeft === undefined) return answer;
  return create(FetchedPartitionSchema, {
    ...answer,
    records: answer.records.slice(0, count),
    nextOffset: firstLeft.offset,
  });
}

/** The same without what was read: it is read again from where it began. */
function dropAll({ asked, answer }: Fetched): FetchedPartition {
  return create(FetchedPartitionSchema, {
    ...answer,
    records: [],
    batches: new Uint8Array(),
    nextOffset: beginningOf(asked, answer),
  });
}

/** Where a read began. A batch may begin below the offset that was asked for, and below the log start. */
function beginningOf({ start }: FetchPartition, { records, batches, logStart }: FetchedPartition): bigint {
  if (start.case === "offset") return start.value;
  const first = records[0]?.offset;
  if (first !== undefined) return first;
  const step = readBatchHeader(batches);
  const base: bigint = step.kind === "ok" ? step.header.baseOffset : logStart;
  return base > logStart ? base : logStart;
}

/** A partition that failed is asked for again where it was. */
function nextOf({ asked, answer }: Fetched): FetchPartition {
  if (answer.error !== undefined) return asked;
  return create(FetchPartitionSchema, {
    partition: answer.partition,
    start: { case: "offset", value: answer.nextOffset },
    leaderEpoch: answer.leaderEpoch,
  });
}
