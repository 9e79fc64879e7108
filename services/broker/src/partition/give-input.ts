/** One input to a partition's machine, and what follows from it: writes, then messages, then answers. */
import { Outcome } from "@tidemark/proto/common/v1";
import type { PartitionInput, PartitionOutput, PersistEffect, SendEffect, TraceEvent } from "@tidemark/replication";
import { withOutcome } from "@tidemark/rpc";
import { noFetches } from "../replication/replica-exchange.ts";
import { endWaiting, releaseReplies, settleAnswer } from "./answers.ts";
import { forgetFetched, forgetTakenBack, noteFetched } from "./fetched-batches.ts";
import { outOfService } from "./refusal-error.ts";
import type { Received, ReplicaState } from "./replica-state.ts";
import { stampBatches } from "./stamp.ts";
import { letGo, noteHighWatermark, noteTakenBack } from "./watched-batches.ts";
import { advanceLogStart, moveLogStart, throwAwayWrites, write } from "./writes.ts";

/**
 * Takes an input, with its bytes where it is a response. One that comes while another is handled, as an
 * answer may lead to, is handled behind it.
 */
export function giveInput(replica: ReplicaState, input: PartitionInput, received?: Received): void {
  const { inbox } = replica;
  if (replica.isStepping) {
    inbox.push({ input, received });
    return;
  }
  replica.isStepping = true;
  try {
    step(replica, input, received);
    for (let next = inbox.shift(); next !== undefined; next = inbox.shift()) step(replica, next.input, next.received);
  } finally {
    replica.isStepping = false;
  }
}

function step(replica: ReplicaState, input: PartitionInput, received: Received | undefined): void {
  if (replica.isOver) {
    received?.release();
    return;
  }
  let output: PartitionOutput;
  try {
    output = replica.machine.step(input);
  } catch (error) {
    received?.release();
    breakOff(replica, error);
    return;
  }
  replica.shared.onStep?.(replica.id, () => replica.machine.view(replica.shared.clock.monotonicMs()), input, output);
  for (const event of output.trace) noteEvent(replica, event);
  // Before it leads anew: what it appended may be cut by then, and other batches come at the same offsets.
  if (replica.watched.length > 0 && replica.machine.role !== "leader")
    letGo(replica, replica.shared.clock.monotonicMs());
  let isTaken = false;
  for (const effect of output.persist) {
    persist(replica, effect, received);
    if (effect.kind === "appendAsFollower") isTaken = true;
  }
  if (!isTaken) received?.release();
  else if (received !== undefined) noteFetched(replica, input, received);
  checkpointHighWatermark(replica);
  for (const effect of output.send) send(replica, effect);
  for (const answer of output.answer) settleAnswer(replica, answer);
  const { resumesAtMs } = replica.machine;
  if (resumesAtMs !== undefined && input.kind === "replicaResponse") replica.shared.onDue(resumesAtMs);
}

/** What the machine knows can be relied upon no longer: an invariant is broken, or its book and its log are apart. */
export function breakOff(replica: ReplicaState, error: unknown): void {
  replica.isOver = true;
  endWaiting(replica, withOutcome(outOfService(replica.place), Outcome.UNKNOWN));
  releaseReplies(replica, true);
  throwAwayWrites(replica);
  letGo(replica, replica.shared.clock.monotonicMs());
  replica.shared.onBroken(replica.id, error);
}

function noteEvent(replica: ReplicaState, event: TraceEvent): void {
  switch (event.kind) {
    case "highWatermark":
      if (replica.watched.length > 0) noteHighWatermark(replica, event);
      break;
    case "truncated":
    case "restarted":
      forgetFetched(replica);
      break;
    case "appendRefused":
      noteTakenBack(replica, event.from);
      forgetTakenBack(replica, event.from);
      break;
    case "isrProposed":
      replica.isProposing = true;
      break;
    case "isrCommitted":
    case "proposalSettled":
    case "resigned":
    case "offline":
    case "metadataRegressed":
    case "leaderless":
    case "becameFollower":
    case "becameLeader":
      replica.isProposing = false;
      break;
    default:
      break;
  }
  replica.shared.onTrace(replica, event);
}

function persist(replica: ReplicaState, effect: PersistEffect, received: Received | undefined): void {
  switch (effect.kind) {
    case "appendAsLeader": {
      const produce = replica.waiting.get(effect.requestId);
      if (produce?.kind !== "produce") return;
      produce.baseOffset = effect.baseOffset;
      stampBatches(produce.batches, effect, replica);
      write(replica, { kind: "append", bytes: produce.batches.bytes, mayKeep: true });
      return;
    }
    case "appendAsFollower":
      if (received !== undefined) write(replica, { kind: "append", mayKeep: false, ...received });
      return;
    case "epochStart":
    case "truncate":
    case "restart":
      write(replica, effect);
      return;
    case "advanceLogStart":
      moveLogStart(replica, effect.logStart);
      return;
  }
}

function checkpointHighWatermark(replica: ReplicaState): void {
  const { machine, log } = replica;
  if (machine.highWatermark > log.highWatermark) log.setHighWatermark(machine.highWatermark);
  if (replica.writes.logStart !== undefined) advanceLogStart(replica);
}

function send(replica: ReplicaState, effect: SendEffect): void {
  const { id, shared } = replica;
  const { links } = shared;
  const answered = (input: PartitionInput) => {
    giveInput(replica, input);
  };
  switch (effect.kind) {
    case "fetch":
      links.fetcher.fetch(effect.leader, id, effect.fetch);
      return;
    case "flushedReport":
      links.fetcher.flushed(effect.leader, id, effect.report, replica.fetchedIn);
      replica.fetchedIn = noFetches;
      return;
    case "alterPartition":
      links.alterPartition(id, effect.request, answered);
      return;
    case "confirmLeadership":
      links.confirmLeader(id, effect, answered);
      return;
  }
}
