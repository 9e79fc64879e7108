/** Hands the answers of a partition's machine to those who wait for them. */
import type { Answer, RequestId } from "@tidemark/replication";
import type { TidemarkError } from "@tidemark/rpc";
import type { ReplicaReply } from "../replication/replica-exchange.ts";
import { refusalError } from "./refusal-error.ts";
import type { ReplicaState, Waiting } from "./replica-state.ts";
import { noteSent } from "./watched-batches.ts";

/** Settles one request. Who gave up waiting is no longer known here. */
export function settleAnswer(replica: ReplicaState, answer: Answer): void {
  const waiting = takeWaiting(replica, answer.requestId);
  if (waiting === undefined) return;
  switch (answer.kind) {
    case "produced":
      if (waiting.kind !== "produce") return;
      waiting.settle({ kind: "acknowledged", baseOffset: answer.baseOffset, leaderEpoch: answer.leaderEpoch });
      return;
    case "consumerRead":
      if (waiting.kind === "read") waiting.settle({ ...answer, kind: "readable" });
      return;
    case "latestOffset":
      if (waiting.kind !== "latest") return;
      waiting.settle({ kind: "latest", offset: answer.offset, leaderEpoch: answer.leaderEpoch });
      return;
    case "refused":
      if (waiting.kind !== "replica") {
        waiting.settle({ kind: "failed", error: refusalError(answer.refusal, replica, waiting) });
      }
      return;
    default:
      if (waiting.kind === "replica") answerReplica(replica, answer, waiting);
  }
}

/** Who waits for an answer waits no more. Undefined: nobody did. */
export function takeWaiting(replica: ReplicaState, requestId: RequestId): Waiting | undefined {
  const waiting = replica.waiting.get(requestId);
  if (waiting === undefined) return undefined;
  replica.waiting.delete(requestId);
  if (waiting.kind !== "replica") replica.clients--;
  return waiting;
}

/** Tells everybody who waits. */
export function endWaiting(replica: ReplicaState, error: TidemarkError): void {
  const all = [...replica.waiting.values()];
  replica.waiting.clear();
  replica.clients = 0;
  for (const each of all) endOne(each, error);
}

export function endOne(waiting: Waiting, error: TidemarkError): void {
  if (waiting.kind !== "replica") waiting.settle({ kind: "failed", error });
  else waiting.reply({ kind: "refused", reason: "NOT_LEADER", leaderEpoch: waiting.leaderEpoch });
}

/** Sends the held replies that can be read now. `isOver`: nothing more will be written, so the others go in vain. */
export function releaseReplies(replica: ReplicaState, isOver: boolean): void {
  if (replica.held.length === 0) return;
  const { held, log } = replica;
  replica.held = [];
  for (const each of held) {
    if (isOver || each.from < log.writtenOffset) each.send();
    else replica.held.push(each);
  }
}

type ReplicaAnswer = Extract<Answer, { readonly replica: unknown }>;

function answerReplica(
  replica: ReplicaState,
  answer: ReplicaAnswer,
  { reply }: Extract<Waiting, { readonly kind: "replica" }>,
): void {
  switch (answer.kind) {
    case "replicaRead":
      // The book is ahead of the log: what was appended a moment ago cannot be read yet.
      if (answer.from < answer.upTo && answer.from >= replica.log.writtenOffset) {
        replica.held.push({ from: answer.from, send: () => reply(recordsOf(replica, answer)) });
      } else reply(recordsOf(replica, answer));
      return;
    case "replicaDiverging":
      reply({ kind: "diverging", divergence: answer.divergence });
      return;
    case "replicaBehindLogStart":
      reply({ kind: "behindLogStart", logStart: answer.logStart });
      return;
    case "replicaRefused":
      reply({ kind: "refused", reason: answer.reason, leaderEpoch: answer.leaderEpoch });
      return;
  }
}

function recordsOf(
  replica: ReplicaState,
  answer: Extract<ReplicaAnswer, { readonly kind: "replicaRead" }>,
): ReplicaReply {
  const { log, machine } = replica;
  const { from, logStart } = answer;
  const { highWatermark } = machine;
  const common = { kind: "records", highWatermark, logStart, logEnd: log.logEndOffset } as const;
  if (from >= log.writtenOffset) return { ...common, read: undefined };
  const read = async (maxBytes: number) => {
    const sentMs = replica.shared.clock.monotonicMs();
    const { bytes, nextOffset } = await log.read(from, { maxBytes });
    const sent = () => noteSent(replica, { replica: answer.replica, from, upTo: nextOffset, sentMs });
    return { batches: [bytes], nextOffset, sent };
  };
  return { ...common, read };
}
