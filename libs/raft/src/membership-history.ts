/**
 * The memberships that the log holds. The newest one is in force from the moment it is appended, committed or not
 * (Raft thesis 4.1), and the one before it again when it is cut.
 */
import { assert } from "./assert.ts";
import type { Entry } from "./entry.ts";
import type { LogIndex } from "./ids.ts";
import type { Membership } from "./membership.ts";
import type { StartState } from "./start-state.ts";

export interface MembershipHistory {
  current(): Membership;
  /** Where the current membership stands in the log. */
  currentIndex(): LogIndex;
  /** The membership in force at `index`, which is not before the snapshot. */
  at(index: LogIndex): Membership;
  /** Takes up what `entries` change. True when they change something. */
  append(entries: readonly Entry[]): boolean;
  /** `from` and everything behind it is gone. True when the membership changed back. */
  cutFrom(from: LogIndex): boolean;
  /** Replaces everything by a snapshot's membership. */
  reset(index: LogIndex, membership: Membership): void;
  /** Forgets what is older than the membership in force at `index`. */
  forgetBefore(index: LogIndex): void;
}

interface Era {
  readonly index: LogIndex;
  readonly membership: Membership;
}

export function createMembershipHistory(start: StartState): MembershipHistory {
  let known: Era[] = [{ index: start.snapshot.index, membership: start.snapshot.membership }];
  const newest = (): Era => {
    const found = known.at(-1);
    assert(found !== undefined, "some membership is in force");
    return found;
  };
  const append = (entries: readonly Entry[]): boolean => {
    const before = known.length;
    for (const entry of entries) {
      if (entry.kind === "membership") known.push({ index: entry.index, membership: entry.membership });
    }
    return known.length > before;
  };
  append(start.entries);
  return {
    current: () => newest().membership,
    currentIndex: () => newest().index,
    at(index) {
      const found = known.findLast((era) => era.index <= index);
      assert(found !== undefined, `the membership at ${index} is known`);
      return found.membership;
    },
    append,
    cutFrom(from) {
      const before = known.length;
      known = known.filter((era, position) => position === 0 || era.index < from);
      return known.length < before;
    },
    reset(index, membership) {
      known = [{ index, membership }];
    },
    forgetBefore(index) {
      const first = known.findLastIndex((era) => era.index <= index);
      if (first > 0) known = known.slice(first);
    },
  };
}
