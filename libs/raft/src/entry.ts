import type { Position } from "./ids.ts";
import type { Membership } from "./membership.ts";

/** Opens each leader's term: committing it commits all that came before (Raft 5.4.2, section 8). */
export interface NoopEntry extends Position {
  readonly kind: "noop";
}

/** What was proposed: one atomic batch, whose bytes mean nothing here. */
export interface BatchEntry extends Position {
  readonly kind: "batch";
  readonly data: Uint8Array;
}

/** The membership from here on. */
export interface MembershipEntry extends Position {
  readonly kind: "membership";
  readonly membership: Membership;
}

export type Entry = NoopEntry | BatchEntry | MembershipEntry;

/** What stands before the data in a message, at least: keeps a flood of empty entries within limits too. */
const overheadBytes = 32;
const memberBytes = 96;

/** The size that limits count, in bytes. */
export function entryBytes(entry: Entry): number {
  switch (entry.kind) {
    case "noop":
      return overheadBytes;
    case "batch":
      return overheadBytes + entry.data.byteLength;
    case "membership":
      return overheadBytes + memberBytes * (entry.membership.voters.length + entry.membership.learners.length);
  }
}
