import type { Offset } from "@tidemark/ids";
import { isWithinReach } from "../index/segment-index.ts";
import { activeSegment, type LogState } from "../log-state.ts";
import type { Segment } from "../segment/segment.ts";

/**
 * The segments that a round goes through, in groups of neighbours which fit into one segment together: what a round
 * leaves of them is written into one, so that a log whose records were compacted away does not stay a heap of small
 * files. Sizes count as they are before the round.
 */
export function groupSegments(log: LogState, upTo: Offset): readonly (readonly Segment[])[] {
  const groups: Segment[][] = [];
  let size = 0;
  for (const segment of log.segments) {
    if (segment.baseOffset >= upTo || segment === activeSegment(log)) break;
    const group = groups.at(-1);
    const first = group?.[0];
    const fits =
      first !== undefined &&
      size + segment.size <= log.settings.segmentBytes &&
      isWithinReach(segment.nextOffset, first.baseOffset);
    if (fits) {
      group?.push(segment);
      size += segment.size;
    } else {
      groups.push([segment]);
      size = segment.size;
    }
  }
  return groups;
}
