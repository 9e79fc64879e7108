/** What stands on the disk of a node, as a check looks at it. */
import type { Entry } from "../entry.ts";
import { indexAfter, type LogIndex, type Position } from "../ids.ts";
import type { Membership } from "../membership.ts";
import type { Write } from "../ready.ts";
import type { HardState, SnapshotMeta } from "../start-state.ts";

/** `Snapshot`: what is known of a snapshot besides what it says of itself. */
export interface LogImage<Snapshot extends WithMeta = WithMeta> {
  hardState: HardState;
  snapshot: Snapshot;
  /** Of the first entry. */
  first: LogIndex;
  entries: Entry[];
}

interface WithMeta {
  readonly meta: SnapshotMeta;
}

/** The entry at `index`; undefined when it is not kept. */
export function entryAt(image: LogImage, index: number): Entry | undefined {
  return image.entries[index - image.first];
}

export function lastOf(image: LogImage): Position {
  const last = image.entries.at(-1);
  return last !== undefined && last.index > image.snapshot.meta.index ? last : image.snapshot.meta;
}

/** The newest membership on the disk. */
export function membershipOf(image: LogImage): Membership {
  const entry = image.entries.findLast((found) => found.kind === "membership");
  return entry !== undefined && entry.index > image.snapshot.meta.index
    ? entry.membership
    : image.snapshot.meta.membership;
}

/** A copy that further writes to `image` leave as it is. */
export function copyImage<Snapshot extends WithMeta>(image: LogImage<Snapshot>): LogImage<Snapshot> {
  return { ...image, entries: [...image.entries] };
}

/** Whether this piece completes its snapshot. */
export function isLast(chunk: { offset: number; data: Uint8Array; snapshot: SnapshotMeta }): boolean {
  return chunk.offset + chunk.data.byteLength === chunk.snapshot.sizeBytes;
}

/**
 * Does to the image what the write does to a disk. `restored`: the snapshot that its last piece completes. Of its entries
 * the first `entryCount` are written.
 */
export function applyWrite<Snapshot extends WithMeta>(
  image: LogImage<Snapshot>,
  write: Omit<Write, "token" | "mustFlush">,
  restored: Snapshot | undefined,
  entryCount = write.entries.length,
): void {
  if (write.hardState !== undefined) image.hardState = write.hardState;
  if (restored !== undefined) {
    image.snapshot = restored;
    image.first = indexAfter(restored.meta.index);
    image.entries = [];
  }
  const first = write.entries[0];
  if (first !== undefined && entryCount > 0) {
    image.entries.length = Math.max(0, first.index - image.first);
    for (const entry of write.entries.slice(0, entryCount)) image.entries.push(entry);
  }
  if (write.compactThrough !== undefined && write.compactThrough >= image.first) {
    image.entries = image.entries.slice(write.compactThrough - image.first + 1);
    image.first = indexAfter(write.compactThrough);
  }
}

/** Two nodes have the same entry, each in its own memory. */
export function sameEntry(left: Entry, right: Entry): boolean {
  if (left === right) return true;
  if (left.index !== right.index || left.term !== right.term) return false;
  switch (left.kind) {
    case "noop":
      return right.kind === "noop";
    case "batch":
      return right.kind === "batch" && sameBytes(left.data, right.data);
    case "membership":
      return right.kind === "membership" && sameMembership(left.membership, right.membership);
  }
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, at) => byte === right[at]);
}

function sameMembership(left: Membership, right: Membership): boolean {
  const text = ({ voters, learners }: Membership) =>
    [voters, learners].map((members) => members.map(({ id, address }) => `${id} ${address}`).join(",")).join(";");
  return text(left) === text(right);
}
