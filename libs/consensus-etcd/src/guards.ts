/** What keeps the backend's promises. Tests take one out at a time and see a promise break. */
export interface EtcdGuards {
  /** A transaction compares the whole of `/append`. Without: the revision at which `/controller` was created. */
  readonly fenceOnValue: boolean;
  /** A put that binds a key to a lease compares the revision of what it replaces, too. */
  readonly guardLeasePuts: boolean;
  /** A watch is resumed behind the last revision that is there as a whole. Without: behind the last event. */
  readonly resumeBehindWholeRevision: boolean;
  /** A watch is resumed by the events. Without: by the revision in the header of the last response. */
  readonly resumeByEvents: boolean;
  /** Belief in a lease counts from when its renewal was sent. Without: from when it was answered. */
  readonly believeFromSending: boolean;
  /** `read` waits for the deletions of leases' keys. Without: for what is there only. */
  readonly awaitDeletions: boolean;
}

export const allEtcdGuards: EtcdGuards = {
  fenceOnValue: true,
  guardLeasePuts: true,
  resumeBehindWholeRevision: true,
  resumeByEvents: true,
  believeFromSending: true,
  awaitDeletions: true,
};
