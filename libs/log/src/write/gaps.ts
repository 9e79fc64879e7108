/**
 * `gaps`: an empty file, there before the first batch that does not begin where the one before it ends: before the log is
 * compacted, and before a follower copies what its leader's compaction left. A start then takes no gap for a torn tail
 * (L4), and no reader takes one for damage, whatever the topic's policy is by that time. Without it, both do.
 */
import type { Offset } from "@tidemark/ids";
import { type BatchHeader, nextOffsetOf } from "@tidemark/record";
import { createAside } from "../aside.ts";
import type { LogState } from "../log-state.ts";
import { gapsFileName } from "../names.ts";

export function haveGap(headers: readonly BatchHeader[], from: Offset): boolean {
  let end = from;
  for (const header of headers) {
    if (header.baseOffset !== end) return true;
    end = nextOffsetOf(header);
  }
  return false;
}

/** Durable on return, so that it is there before the first gap. */
export async function noteGaps(log: LogState): Promise<void> {
  await createAside(log.context, log.directory, gapsFileName, new Uint8Array(0));
  log.hasGaps = true;
}
