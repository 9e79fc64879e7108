/**
 * A voter that was started again does not know whom it heard last. Before that it may have answered a leader, who
 * believes in itself for nearly an election timeout from then on (C4): for so long it takes up no request for votes, as
 * if it had not arrived. Where leadership is handed over, the leader itself asked for the election.
 */
import type { Message, StartState } from "@tidemark/raft";
import type { Clock } from "@tidemark/runtime";
import type { Durations } from "./timing.ts";

export interface VoteDelay {
  /** Whether the message is not to be taken up, because it asks for a vote too soon. */
  covers(message: Message): boolean;
}

/** The term of formatted voters. Nobody led in it, so that nobody was answered. */
const formattedTerm = 1;

export function createVoteDelay({
  clock,
  durations,
  start,
}: {
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly durations: Durations;
  readonly start: StartState;
}): VoteDelay {
  const untilMs = clock.monotonicMs() + durations.electionTimeoutMs;
  const mayHaveAnswered = start.hardState.term > formattedTerm;
  return {
    covers(message) {
      if (!mayHaveAnswered || clock.monotonicMs() >= untilMs) return false;
      return message.kind === "preVoteRequest" || (message.kind === "voteRequest" && !message.transfer);
    },
  };
}
