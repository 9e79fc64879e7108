/**
 * What became of a request whose answer was lost (C6). `/append` is read behind a barrier:
 *
 * | it holds               | so the request                                                                       |
 * |------------------------|--------------------------------------------------------------------------------------|
 * | a value of the request | was committed                                                                        |
 * | the value before       | may still arrive. A batch of nothing takes its place, and then it never can           |
 * | a value of that batch  | was not carried out and never will be: it is sent anew                               |
 * | another's value        | was committed if the watch saw it, and else never will be: the epoch is over. Where  |
 * |                        | the watch skipped batches meanwhile, nobody knows                                    |
 *
 * Where the session ends over it, it stays unknown.
 */
import type { Revision } from "@tidemark/ids";
import type { AppendOutcome } from "../consensus.ts";
import type { AppendValue } from "../records.ts";
import type { Fence } from "./fence.ts";
import type { CandidateGuards } from "./guards.ts";

/** A request on its way. */
export interface Attempt {
  /** The value of `/append` that each of its batches carries. */
  readonly values: readonly AppendValue[];
  /** Where the watch saw them, by their attempt. */
  readonly seen: Map<string, Revision>;
  /** The watch began anew with a snapshot since the request was sent: `seen` proves nothing any more by what it lacks. */
  skipped: boolean;
}

export type Settlement =
  | { readonly kind: "applied"; readonly outcomes: readonly AppendOutcome[] }
  | { readonly kind: "notApplied" }
  | { readonly kind: "fenced" }
  | { readonly kind: "unknown"; readonly message: string };

export interface LostRequestOptions {
  readonly fence: Fence;
  readonly guards: CandidateGuards;
  /** What `/append` holds now. False, or a rejection, where the session was lost over it. */
  readonly readAppend: () => Promise<AppendValue | "malformed" | "lost">;
}

export async function settleLostRequest(attempt: Attempt, options: LostRequestOptions): Promise<Settlement> {
  const { fence, guards } = options;
  const fillers: AppendValue[] = [];
  for (;;) {
    const found = await options.readAppend();
    if (found === "lost") return { kind: "unknown", message: "the connection to the store was lost with the answer" };
    if (found !== "malformed" && isOneOf(attempt.values, found)) {
      fence.moveTo(found);
      return { kind: "applied", outcomes: outcomesAsSeen(attempt) };
    }
    if (found !== "malformed" && isOneOf(fillers, found)) {
      fence.moveTo(found);
      return { kind: "notApplied" };
    }
    if (found === "malformed" || !isOneOf([fence.current()], found)) return settleFenced(attempt, guards);
    if (!guards.takeLostPlace) return { kind: "notApplied" };
    const filler = fence.next(1);
    fillers.push(...filler);
    const answer = await fence.request(filler, []);
    if ("message" in answer) return { kind: "unknown", message: answer.message };
  }
}

function settleFenced(attempt: Attempt, guards: CandidateGuards): Settlement {
  if (attempt.seen.size > 0) return { kind: "applied", outcomes: outcomesAsSeen(attempt) };
  if (attempt.skipped && guards.mindWatchGaps)
    return { kind: "unknown", message: "the epoch ended behind a gap in the watch" };
  return { kind: "fenced" };
}

function outcomesAsSeen(attempt: Attempt): readonly AppendOutcome[] {
  return attempt.values.map((value) => {
    const revision = attempt.seen.get(value.attempt);
    if (revision === undefined) return { kind: "unknown", message: "committed, at a revision that was not seen" };
    return { kind: "committed", revision };
  });
}

function isOneOf(values: readonly AppendValue[], found: AppendValue): boolean {
  return values.some((value) => value.attempt === found.attempt);
}
