/** Reads what the partitions of a fetch have now, within the limits of its answer. */
import { create } from "@bufbuild/protobuf";
import { decodeBatches } from "@tidemark/format";
import type { Offset } from "@tidemark/ids";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { type FetchedPartition, FetchedPartitionSchema, Format } from "@tidemark/proto/log/v1";
import { type Codecs, type DecodeFailure, explainDecodeFailure } from "@tidemark/record";
import { TidemarkError, toErrorDetail } from "@tidemark/rpc";
import { fromLogError } from "../errors.ts";
import type { Partition, ReadOutcome } from "../partition/partition.ts";
import type { FetchTarget, ReadTarget } from "./fetch-target.ts";

export interface ReadLimits {
  readonly bytes: number;
  readonly records: number;
  readonly format: Format;
  readonly codecs: Codecs;
  /** Bytes of decoded records that an answer for people may hold in all; one record may go beyond. */
  readonly decodedBytesMax: number;
  /** Milliseconds since the controller was heard. */
  readonly controllerAgeMs: number;
}

/** What one round of reading brought. */
export interface Round {
  readonly partitions: readonly FetchedPartition[];
  /** Read for the answer: one in records may hold a part of them. */
  readonly batches: readonly Uint8Array[];
  /** Of these batches. */
  readonly bytes: number;
  /** The error of the first partition that failed. */
  readonly failure: TidemarkError | undefined;
  /** Where each target that was read has its end now: the offset to wait at. */
  readonly ends: ReadonlyMap<ReadTarget, Offset>;
}

type Readable = Extract<ReadOutcome, { readonly kind: "readable" }>;

/** One partition on its way into the answer. */
interface Part {
  readonly target: FetchTarget;
  readonly readable: Readable | undefined;
  error: TidemarkError | undefined;
  readonly chunks: Uint8Array[];
  nextOffset: Offset;
  records: FetchedPartition["records"];
}

/**
 * Those that have something share the bytes, so that none of them starves the later ones; those that have nothing take
 * no share. What is left goes to those that have more, in the order of the request.
 */
export async function readPartitions(targets: readonly FetchTarget[], limits: ReadLimits): Promise<Round> {
  const parts = targets.map(partOf);
  const left = { bytes: limits.bytes, records: limits.records, decodedBytes: limits.decodedBytesMax };
  const full = parts.filter(hasMore);
  let isFirst = true;
  for (const [index, part] of full.entries()) {
    const sharers = full.length - index;
    const share = {
      bytes: Math.ceil(left.bytes / sharers),
      records: Math.ceil(left.records / sharers),
      decodedBytesMax: Math.ceil(left.decodedBytes / sharers),
    };
    if (share.records <= 0 || share.decodedBytesMax <= 0 || (share.bytes <= 0 && !isFirst)) break;
    const taken = await readPart(part, { ...limits, ...share }, isFirst);
    left.bytes = Math.max(0, left.bytes - taken.bytes);
    left.records = Math.max(0, left.records - taken.records);
    left.decodedBytes -= taken.decodedBytes;
    if (taken.bytes > 0) isFirst = false;
  }
  if (limits.format === Format.BATCHES) {
    for (const part of full) {
      if (left.bytes <= 0) break;
      if (!hasMore(part)) continue;
      const taken = await readPart(part, { ...limits, bytes: left.bytes }, isFirst);
      left.bytes -= taken.bytes;
    }
  }
  return roundOf(parts, limits);
}

function partOf(target: FetchTarget): Part {
  const none = { target, chunks: [], records: [], nextOffset: 0n as Offset, readable: undefined };
  if (target.kind === "failed") return { ...none, error: target.error };
  const outcome = readNow(target);
  if (outcome.kind === "failed") return { ...none, error: outcome.error };
  return { ...none, readable: outcome, error: undefined, nextOffset: outcome.from };
}

function hasMore({ readable, error, nextOffset }: Part): boolean {
  return error === undefined && readable !== undefined && nextOffset < readable.upTo;
}

/** Asks without waiting: the partition settles during the call. */
function readNow({ partition, request, confirmedIn }: ReadTarget): ReadOutcome {
  let outcome: ReadOutcome | undefined;
  const cancel = partition.read({ ...request, deadlineMs: Number.NEGATIVE_INFINITY }, (settled) => {
    outcome = settled;
  });
  if (outcome === undefined) {
    cancel();
    return { kind: "failed", error: notNow(partition) };
  }
  if (outcome.kind === "readable" && confirmedIn !== undefined && outcome.leaderEpoch !== confirmedIn) {
    return { kind: "failed", error: notNow(partition) };
  }
  return outcome;
}

/** Reads one piece. A batch larger than the share is handed out only where nothing else was (L8). */
async function readPart(
  part: Part,
  limits: ReadLimits,
  isFirst: boolean,
): Promise<{ readonly bytes: number; readonly records: number; readonly decodedBytes: number }> {
  const nothing = { bytes: 0, records: 0, decodedBytes: 0 };
  const { target, readable, nextOffset } = part;
  if (target.kind === "failed" || readable === undefined) return nothing;
  const { partition } = target;
  try {
    const read = await partition.log.read(nextOffset, { maxBytes: limits.bytes, upTo: readable.upTo });
    if (read.bytes.length > limits.bytes && !isFirst) return nothing;
    const { format, codecs } = limits;
    let decodedBytes = 0;
    if (format === Format.BATCHES) {
      part.nextOffset = read.nextOffset;
    } else {
      const within = { from: nextOffset, recordsMax: limits.records, bytesMax: limits.decodedBytesMax };
      const decoded = decodeBatches(read.bytes, within, { format, codecs });
      if (decoded.kind === "failed") throw undecodable(partition, decoded);
      part.records = decoded.records;
      part.nextOffset = decoded.nextOffset as Offset;
      decodedBytes = decoded.bytes;
    }
    if (read.bytes.length > 0) part.chunks.push(read.bytes);
    return { bytes: read.bytes.length, records: part.records.length, decodedBytes };
  } catch (error) {
    part.error = fromLogError(error, { topic: partition.topic, partition: partition.index });
    return nothing;
  }
}

function roundOf(parts: readonly Part[], limits: ReadLimits): Round {
  const ends = new Map<ReadTarget, Offset>();
  let bytes = 0;
  for (const { target, readable, chunks, error } of parts) {
    if (error !== undefined) continue;
    for (const chunk of chunks) bytes += chunk.length;
    if (target.kind === "read" && readable !== undefined) ends.set(target, readable.upTo);
  }
  return {
    partitions: parts.map((part) => fetched(part, limits)),
    batches: parts.flatMap(({ chunks, error }) => (error === undefined ? chunks : [])),
    bytes,
    failure: parts.find(({ error }) => error !== undefined)?.error,
    ends,
  };
}

function fetched({ target, readable, error, chunks, records, nextOffset }: Part, limits: ReadLimits): FetchedPartition {
  const { partition } = target.asked;
  if (readable === undefined || error !== undefined) {
    const failure = error ?? new TidemarkError({ reason: Reason.INTERNAL, message: "It was not read" });
    return create(FetchedPartitionSchema, { partition, error: toErrorDetail(failure), message: failure.message });
  }
  const { highWatermark, logStart, leaderEpoch } = readable;
  return create(FetchedPartitionSchema, {
    partition,
    highWatermark,
    logStart,
    leaderEpoch,
    nextOffset,
    controllerContactAgeMs: limits.controllerAgeMs,
    ...(limits.format === Format.BATCHES ? { batches: joined(chunks) } : { records }),
  });
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const [first] = chunks;
  if (first === undefined) return new Uint8Array();
  return chunks.length === 1 ? first : Buffer.concat(chunks);
}

function notNow({ topic, index }: Partition): TidemarkError {
  return new TidemarkError({
    reason: Reason.OFFSET_NOT_AVAILABLE,
    message: `The leader of ${topic}-${index} changed while it was asked; retry in a moment`,
    outcome: Outcome.NOT_APPLIED,
    topic,
    partition: index,
  });
}

function undecodable(
  partition: Partition,
  failed: { readonly offset: bigint; readonly reason: DecodeFailure },
): TidemarkError {
  const isCodec = failed.reason === "unsupportedCodec";
  return new TidemarkError({
    reason: isCodec ? Reason.UNSUPPORTED_CODEC : Reason.CORRUPT_BATCH,
    message:
      `The batch at offset ${failed.offset} of ${partition.topic}-${partition.index} cannot be decoded here ` +
      `(${explainDecodeFailure(failed.reason)}); with the format BATCHES it is handed out as it is`,
    topic: partition.topic,
    partition: partition.index,
  });
}
