import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { noTimestamp } from "@tidemark/record";

/** The first and the last millisecond that google.protobuf.Timestamp can name: the years 1 to 9999. */
const firstMs = -62_135_596_800_000n;
export const lastTimestampMs = 253_402_300_799_999n;

/**
 * A record's time for people. Undefined where it has none, or one that cannot be named: a log may hold any number, and
 * one record must not keep everybody from reading what comes behind it.
 */
export function shownTimestamp(ms: bigint): Timestamp | undefined {
  if (ms === noTimestamp || ms < firstMs || ms > lastTimestampMs) return undefined;
  return timestampFromMs(Number(ms));
}
