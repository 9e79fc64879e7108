import { LinkLostError, type StoreAnswer } from "@tidemark/consensus";
import type { Revision } from "@tidemark/ids";
import type { LogIndex, NodeId } from "@tidemark/raft";
import { abortWith, createDeferred } from "@tidemark/runtime";
import { type Command, encodeCommand } from "../replica/commands.ts";
import type { RaftNode } from "./node.ts";
import type { ReadEnd } from "./reads.ts";
import type { SubmitAnswer } from "./transport.ts";

/**
 * Has a command committed, through whoever leads, and waits for a leader where there is none. Rejects with LinkLostError
 * where its outcome is not known, or the signal is aborted.
 */
export async function submit(node: RaftNode, command: Command, signal: AbortSignal): Promise<StoreAnswer> {
  const bytes = encodeCommand(command);
  for (;;) {
    const failure = node.failure();
    if (failure !== undefined) return { kind: "failed", message: failure };
    if (signal.aborted) throw new LinkLostError("the session ended before the request was sent");
    const answer = await submitOnce(node, bytes, signal);
    if (answer.kind !== "notLeader") return answer;
    await node.changed.next(signal);
  }
}

/** `notLeader`: it was not taken up, and something has to change first. */
async function submitOnce(node: RaftNode, bytes: Uint8Array, signal: AbortSignal): Promise<SubmitAnswer> {
  const { role, leader } = node.raft.status();
  if (role !== "leader") {
    return leader === undefined ? { kind: "notLeader" } : submitTo(node, leader, { bytes, signal });
  }
  const outcome = node.raft.propose(bytes);
  if (outcome.kind === "refused") return { kind: "notLeader" };
  const end = node.proposals.wait(outcome.position);
  node.pump();
  const answer = await end;
  return answer.kind === "dropped" ? { kind: "notLeader" } : answer;
}

/**
 * Sends a command on to who leads. Rejects with LinkLostError once another leads in a later term: one that is frozen
 * answers nothing, and what it was asked is looked for behind the next one's log.
 */
async function submitTo(
  node: RaftNode,
  leader: NodeId,
  { bytes, signal }: { readonly bytes: Uint8Array; readonly signal: AbortSignal },
): Promise<SubmitAnswer> {
  const { term } = node.raft.status();
  const answered = new AbortController();
  const replaced = async (): Promise<never> => {
    for (;;) {
      await node.changed.next(answered.signal);
      const now = node.raft.status();
      if (answered.signal.aborted) return new Promise(() => undefined);
      if (now.term > term && now.leader !== undefined) throw new LinkLostError("another leads before it was answered");
    }
  };
  const until = new AbortController();
  const unbind = abortWith(until, signal, answered.signal);
  try {
    return await Promise.race([node.transport.submit(node.peers.of(leader), bytes, until.signal), replaced()]);
  } finally {
    answered.abort();
    unbind();
  }
}

/**
 * The revision of the newest batch that was committed before the call, applied here. Waits for a leader that a majority
 * confirms. Rejects with LinkLostError where the signal is aborted or the node failed.
 */
export async function readRevision(node: RaftNode, signal: AbortSignal): Promise<Revision> {
  const isOver = () => signal.aborted || node.failure() !== undefined;
  for (;;) {
    if (isOver()) throw new LinkLostError("the session ended before it was read");
    const index = await readIndex(node, signal);
    if (index === undefined) continue;
    // A node whose disk failed applies nothing more.
    while (node.applier.index() < index && !isOver()) await node.changed.next(signal);
    if (node.applier.index() >= index) return node.replica.revision();
  }
}

/** Undefined where leadership changed over it, or no answer came within an election timeout. */
async function readIndex(node: RaftNode, signal: AbortSignal): Promise<LogIndex | undefined> {
  const end = createDeferred<ReadEnd>();
  const asked = node.reads.ask(node.raft, end.resolve);
  if (asked === undefined) {
    await node.changed.next(signal);
    return undefined;
  }
  const lost = () => end.resolve({ kind: "lost" });
  const cancel = node.runtime.scheduler.after(2 * node.durations.electionTimeoutMs, lost);
  signal.addEventListener("abort", lost, { once: true });
  try {
    node.pump();
    const ended = await end.promise;
    return ended.kind === "confirmed" ? ended.index : undefined;
  } finally {
    cancel();
    signal.removeEventListener("abort", lost);
    asked.forget();
  }
}
