/** What a replica's log tells, as inputs to its machine. */
import type { LogEvent } from "@tidemark/log";
import { releaseReplies } from "./answers.ts";
import { noteFetchedFlushed, noteFetchedWritten } from "./fetched-batches.ts";
import { giveInput } from "./give-input.ts";
import type { ReplicaState } from "./replica-state.ts";
import { noteFlushed, noteWritten } from "./watched-batches.ts";
import { advanceLogStart, failLog, isBehind, releaseWritten, resumeWrites } from "./writes.ts";

export function takeLogEvent(replica: ReplicaState, event: LogEvent): void {
  const nowMs = replica.shared.clock.monotonicMs();
  switch (event.kind) {
    case "written":
      noteWritten(replica, event, nowMs);
      noteFetchedWritten(replica, event, nowMs);
      releaseWritten(replica, false);
      resumeWrites(replica);
      releaseReplies(replica, false);
      return;
    case "flushed":
      noteFlushed(replica, event, nowMs);
      noteFetchedFlushed(replica, event, nowMs);
      giveInput(replica, { kind: "flushed", offset: event.upTo, generation: replica.writes.generation, nowMs });
      advanceLogStart(replica);
      return;
    case "refused":
      refused(replica, event, nowMs);
      return;
    case "logStart":
      giveInput(replica, { kind: "logStartAdvanced", logStart: event.logStart });
      return;
    case "offline":
      failLog(replica, new Error(event.damage.detail));
      releaseReplies(replica, true);
      return;
    case "failed":
      failLog(replica, event.error);
      releaseReplies(replica, true);
      return;
    case "cut":
      // Whoever asked for the cut hears of its end.
      return;
  }
}

/**
 * A full disk, which passes; or the end of the directory, of which another event tells. What is refused while the log is
 * cut lay above the cut. A refusal before a cut that waits leaves a log that ends below what the machine knows; so does
 * one below the log start that a leader has named meanwhile.
 */
function refused(replica: ReplicaState, event: Extract<LogEvent, { kind: "refused" }>, nowMs: number): void {
  if (event.error.code !== "NO_SPACE") {
    failLog(replica, event.error);
    return;
  }
  if (replica.writes.isCutting) return;
  if (isBehind(replica) || event.from < replica.machine.view(nowMs).logStart) {
    replica.shared.onStuck(replica.id);
    return;
  }
  releaseWritten(replica, true);
  replica.refusedBy = event.error;
  giveInput(replica, { kind: "appendRefused", from: event.from, nowMs });
  releaseReplies(replica, true);
}
