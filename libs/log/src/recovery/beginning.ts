import type { Offset } from "@tidemark/ids";
import type { NotedOffsets } from "../checkpoint/offset-slot.ts";
import { type Damage, DamageError } from "../errors.ts";
import type { Segment } from "../segment/segment.ts";

/**
 * Where the log is to begin anew, if a crash interrupted its replacement by one that begins at the noted log start. Then
 * nothing above that start was noted as flushed, so nothing that counts goes. `end`: where the segments end, once that is
 * known.
 */
export function newBeginning(
  segments: readonly Segment[],
  noted: NotedOffsets | undefined,
  end?: Offset,
): Offset | undefined {
  if (noted === undefined || noted.flushed !== noted.logStart) return undefined;
  const { logStart } = noted;
  const first = segments[0];
  const isInterrupted = first === undefined || first.baseOffset > logStart || (end !== undefined && end < logStart);
  return isInterrupted ? logStart : undefined;
}

/** Throws DamageError where the segment is gone in which the log starts. */
export function assertBeginning(
  directory: string,
  segments: readonly Segment[],
  noted: NotedOffsets | undefined,
): void {
  const first = segments[0];
  if (first !== undefined && (noted === undefined || first.baseOffset <= noted.logStart)) return;
  throw new DamageError({
    kind: first === undefined ? "shortLog" : "brokenSequence",
    offset: noted?.logStart ?? (0n as Offset),
    detail: `${directory} has no segment for its log start`,
  });
}

/** What it is when the segment that follows is not the one that followed when that was settled. */
export function brokenSequence(segment: Segment, successor: Offset): Damage {
  const detail = `Behind ${segment.path} the segment with base offset ${successor} should follow; ${segment.nextOffset} does`;
  return {
    kind: "brokenSequence",
    offset: successor < segment.nextOffset ? successor : segment.nextOffset,
    detail,
  };
}
