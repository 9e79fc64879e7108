/**
 * The duties that keep a log safe, each of which tests can turn off to show that its absence is found. All on outside
 * of tests.
 */
export interface LogGuards {
  /** An append counts as flushed only when a sync that began after its write has ended (R2, L6). */
  readonly flushBeforeAck: boolean;
  /** Directories are synced after creations, renames and removals (L5). */
  readonly syncDirectories: boolean;
  /** Only a torn tail of the last segment is cut; damage elsewhere takes the replica offline (L4). */
  readonly cutTailOnly: boolean;
  /** The noted flushed offset is never ahead of what was flushed (L4). */
  readonly checkpointNeverAhead: boolean;
  /** A flush that began before a cut counts for nothing above it (L9). */
  readonly cutEndsFlushes: boolean;
  /** What a start finds beyond the recovery point is written anew before it counts as flushed (L4). */
  readonly rewriteUnflushedTail: boolean;
  /** Noted offsets are lowered, and that flushed, before a cut (L4). */
  readonly lowerNotesBeforeCut: boolean;
  /** Damage is noted in the directory, so that a start knows of it (L10). */
  readonly noteDamage: boolean;
  /** A replica that cannot be read is damaged only where the device gives other files back; else the directory failed (L6). */
  readonly deviceBeforeDamage: boolean;
}

export const allGuards: LogGuards = {
  flushBeforeAck: true,
  syncDirectories: true,
  cutTailOnly: true,
  checkpointNeverAhead: true,
  cutEndsFlushes: true,
  rewriteUnflushedTail: true,
  lowerNotesBeforeCut: true,
  noteDamage: true,
  deviceBeforeDamage: true,
};
