import type { StreamLimits } from "../limits.ts";
import type { LaneConnection } from "./lane-connection.ts";
import type { LanePartition, LanePartitions } from "./lane-partitions.ts";

/**
 * Counts the bytes that came and are not written to logs yet, those of older streams too. The leader may send as many
 * again at once; only while much is unwritten does it get credit for nothing but what is written.
 */
export interface UnwrittenBytes {
  /** Bytes of a partition came. The result is called when they were written or thrown away; later calls do nothing. */
  hold(from: LaneConnection, partition: LanePartition, bytes: number): () => void;
}

/** `onChange`: something may be said that was held back. */
export function createUnwrittenBytes(options: {
  readonly partitions: LanePartitions;
  readonly limits: StreamLimits;
  readonly onChange: () => void;
}): UnwrittenBytes {
  const { partitions, limits, onChange } = options;
  let unwritten = 0;

  const credit = (to: LaneConnection, bytes: number) => {
    if (!to.isOpen) return;
    to.credit(bytes);
    if (to.isCreditDue) onChange();
  };

  return {
    hold(from, partition, bytes) {
      unwritten += bytes;
      partitions.hold(partition, bytes);
      const isCredited = unwritten <= limits.unwrittenBytesOfAll;
      if (isCredited) credit(from, bytes);
      let isReleased = false;
      return () => {
        if (isReleased) return;
        isReleased = true;
        unwritten -= bytes;
        partitions.letGo(partition, bytes);
        if (!isCredited) credit(from, bytes);
        if (partitions.hasFetches) onChange();
      };
    },
  };
}
