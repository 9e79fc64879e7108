import type { BatchDump, LogDump, SegmentDump } from "@tidemark/log";
import { codecNameOf, lastOffsetOf, noProducerId, type StoredRecord } from "@tidemark/record";
import { bytesAs, jsonLine } from "../output.ts";

/** `{"batch": {...}}` on one line, with `records` if they are wanted. */
export function batchAsJson({ path, position, header, hasValidCrc, records }: BatchDump, deep: boolean): string {
  const { producerId, producerEpoch, baseSequence } = header;
  return jsonLine({
    batch: {
      path,
      position,
      sizeInBytes: header.sizeInBytes,
      baseOffset: header.baseOffset,
      lastOffset: lastOffsetOf(header),
      leaderEpoch: header.leaderEpoch,
      codec: codecNameOf(header.codecId) ?? null,
      timestampType: header.timestampType,
      maxTimestamp: header.maxTimestamp,
      recordCount: header.recordCount,
      producer: producerId === noProducerId ? null : { id: producerId, epoch: producerEpoch, sequence: baseSequence },
      isControl: header.isControl,
      crc: header.crc,
      hasValidCrc,
      ...(deep ? recordsAsJson(records()) : {}),
    },
  });
}

function recordsAsJson(decoded: ReturnType<BatchDump["records"]>) {
  if (decoded.kind === "failed") return { records: null, recordsFailure: decoded.reason };
  return { records: [...decoded.records].map(recordAsJson) };
}

function recordAsJson({ offset, timestamp, key, value, headers }: StoredRecord) {
  return {
    offset,
    timestamp,
    ...bytesAs("key", key),
    ...bytesAs("value", value),
    headers: headers.map((header) => ({ ...bytesAs("key", header.key), ...bytesAs("value", header.value) })),
  };
}

/** `{"log": {...}}` on one line: everything about a log as a whole. */
export function logAsJson({ path, segments, noted, epochs, recovery, problems }: LogDump): string {
  return jsonLine({
    log: {
      path,
      isSound: problems.length === 0,
      noted: noted ?? null,
      segments: segments.map(segmentAsJson),
      epochs: epochs ?? null,
      recovery: recovery ?? null,
      problems,
    },
  });
}

function segmentAsJson({ path, baseOffset, nextOffset, sizeInBytes, batches, records, ...segment }: SegmentDump) {
  const { maxTimestamp, end, index } = segment;
  return { path, baseOffset, nextOffset, sizeInBytes, batches, records, maxTimestamp, end, index };
}
