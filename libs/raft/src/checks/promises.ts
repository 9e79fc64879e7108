/**
 * What a node may say, held against its disk and against what it has heard.
 *
 * | invariant                     | promise                                                                                 |
 * |-------------------------------|-----------------------------------------------------------------------------------------|
 * | no send before persist        | a vote, an acknowledgement and a term that are told are flushed                         |
 * | snapshot covers log start     | whatever a disk no longer has as entries, its snapshot holds                            |
 * | commit has a quorum           | what a leader commits is flushed at a majority of voters                                |
 * | committed entries stay        | no node cuts its log at or below its commit index                                       |
 * | quiet nodes raise no term     | whoever has not heard from a majority for an election timeout opens no term (pre-vote)   |
 * | a lonely leader steps down    | whoever has not heard from a majority for an election timeout does not lead (check-quorum) |
 * | reads are linearizable        | a read sees all that was committed before it was asked for                              |
 */
import type { Position } from "../ids.ts";
import type { Message } from "../messages.ts";
import { entryAt, type LogImage, lastOf } from "./log-image.ts";
import { check } from "./violation.ts";

/** Whether the image holds everything up to `index`. */
function holds(image: LogImage, index: number): boolean {
  return lastOf(image).index >= index;
}

/** Whether the image has this very entry, in its log or in its snapshot. */
export function holdsEntry(image: LogImage, position: Position): boolean {
  if (position.index <= image.snapshot.meta.index) return true;
  return entryAt(image, position.index)?.term === position.term;
}

/** Called when `message` leaves. */
export function checkSend(message: Message, disk: LogImage): void {
  const { hardState } = disk;
  const says = (what: string) => () => `${message.from} sends ${message.kind} of term ${message.term} before ${what}`;
  if (message.kind === "preVoteRequest" || message.kind === "preVoteResponse") return;
  check(hardState.term >= message.term, "no send before persist", says("its term is flushed"));
  // What was promised in an older term is covered by the newer one on disk.
  if (hardState.term > message.term) return;
  switch (message.kind) {
    case "voteResponse":
      if (!message.granted) return;
      check(hardState.votedFor === message.to, "no send before persist", says("its vote is flushed"));
      return;
    case "voteRequest":
      check(hardState.votedFor === message.from, "no send before persist", says("its vote for itself is flushed"));
      check(holdsEntry(disk, message.last), "no send before persist", says("its log is flushed"));
      return;
    case "appendAccepted":
      check(holds(disk, message.match), "no send before persist", says(`${message.match} is flushed`));
      return;
    default:
  }
}

export function checkDisk(name: string, image: LogImage): void {
  check(
    image.first <= image.snapshot.meta.index + 1,
    "snapshot covers log start",
    () => `${name}'s log begins at ${image.first}, its snapshot ends at ${image.snapshot.meta.index}`,
  );
}
