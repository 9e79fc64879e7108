/** What keeps the single-node backend's promises. Tests take one out at a time and see a promise break. */
export interface SingleGuards {
  /** What is found at the start is flushed before it counts. */
  readonly flushWhenOpened: boolean;
  /** A batch is flushed before it is committed. */
  readonly flushBatches: boolean;
  /** A new file is flushed before it takes the old one's place. */
  readonly flushSnapshot: boolean;
  /** The directory is flushed after a file took its place in it. */
  readonly flushDirectory: boolean;
  /** What a full disk left behind is cut off. */
  readonly cutBackWhenFull: boolean;
  /** The last batch is marked as flushed while nothing else is written. */
  readonly markWhenIdle: boolean;
}

export const allGuards: SingleGuards = {
  flushWhenOpened: true,
  flushBatches: true,
  flushSnapshot: true,
  flushDirectory: true,
  cutBackWhenFull: true,
  markWhenIdle: true,
};
