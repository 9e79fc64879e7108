/**
 * Makes whole revisions of what a watch sends. etcd sends the history in parts, and with `fragment` a part may end within
 * a revision. A revision is whole when its part says that no fragment follows, or when an event of a later one came; the
 * part of a revision is dropped with its stream.
 */
import { type Revision, revision as toRevision } from "@tidemark/ids";
import type { EtcdGuards } from "./guards.ts";
import type { EtcdChange, WatchResponse } from "./stubs.ts";

export interface WholeRevision {
  readonly revision: Revision;
  readonly changes: readonly EtcdChange[];
}

export interface Assembler {
  /** The whole revisions that the response completes, in order. What was there before is passed over. */
  take(response: Pick<WatchResponse, "revision" | "fragment" | "events">): readonly WholeRevision[];
  /**
   * The stream ended: what is not whole is dropped. The revision that the next stream has to begin with: the last whole
   * one once more, since etcd gives no sign of life to a watch that begins in the future.
   */
  restart(): Revision;
  /** A snapshot stands for everything up to here. */
  startBehind(revision: Revision): void;
}

/** `behind`: the last revision that is known. */
export function createAssembler(behind: Revision, guards: EtcdGuards): Assembler {
  let last: bigint = behind;
  /** Of what came at all, whole or not, and of the headers: what must not be resumed from. */
  let newest: bigint = behind;
  let header: bigint = behind;
  let part: { readonly revision: bigint; readonly changes: EtcdChange[] } | undefined;

  const complete = (): readonly WholeRevision[] => {
    if (part === undefined) return [];
    const whole = { revision: toRevision(part.revision), changes: part.changes };
    last = part.revision;
    part = undefined;
    return [whole];
  };

  return {
    take(response) {
      const whole: WholeRevision[] = [];
      if (response.revision > header) header = response.revision;
      for (const change of response.events) {
        if (change.modRevision <= last) continue;
        if (part !== undefined && change.modRevision > part.revision) whole.push(...complete());
        part ??= { revision: change.modRevision, changes: [] };
        part.changes.push(change);
        newest = change.modRevision;
      }
      if (!response.fragment) whole.push(...complete());
      return whole;
    },
    restart() {
      part = undefined;
      if (!guards.resumeByEvents) last = header;
      else if (!guards.resumeBehindWholeRevision) last = newest;
      return toRevision(last > 0n ? last : 1n);
    },
    startBehind(revision) {
      part = undefined;
      last = newest = header = revision;
    },
  };
}
