/** One real node, n1, whose peers are played by the test. */
import type { Entry } from "../entry.ts";
import type { Guards } from "../guards.ts";
import { logIndex, type Position, type Term, term } from "../ids.ts";
import type { ReadOutcome } from "../machine.ts";
import type { Message, SnapshotChunkOrder } from "../messages.ts";
import type { Limits } from "../options.ts";
import { createRaft, type Raft } from "../raft.ts";
import type { Write } from "../ready.ts";
import { formattedStart, type SnapshotMeta, type StartState } from "../start-state.ts";
import { electionTicks, electionTicksMin, heartbeatTicks, idOf } from "./scripted-cluster.ts";

export interface LoneNodeOptions {
  readonly voters?: readonly string[];
  readonly learners?: readonly string[];
  /** Terms of the entries behind index 1, which is of term 1. */
  readonly terms?: readonly number[];
  /** The newest term that it has seen; that of its last entry by default. */
  readonly term?: number;
  readonly votedFor?: string;
  readonly start?: StartState;
  readonly limits?: Partial<Limits>;
  readonly guards?: Partial<Guards>;
}

export interface LoneNode {
  readonly raft: Raft;
  /** Everything handed out since the last call of `take`. */
  take(): {
    readonly messages: Message[];
    readonly writes: Write[];
    readonly committed: Entry[];
    readonly reads: ReadOutcome[];
    readonly chunks: SnapshotChunkOrder[];
    readonly restored: SnapshotMeta[];
  };
  /** Takes up a message from a peer. */
  hear(message: Message): void;
  /** Ends all flushes that are out. */
  flush(): void;
  tick(ticks: number): void;
  /** Waits for a leader until it campaigns, and is elected by n2 and n3; everything flushed and taken. */
  lead(): void;
}

/** Without the fields that every message has. */
type Said = {
  [Kind in Message["kind"]]: Omit<Extract<Message, { kind: Kind }>, "from" | "to" | "term" | "toVoter">;
}[Message["kind"]];

/** A message from a peer to n1. */
export function say(from: string, of: number, said: Said): Message {
  // Only a leader's messages carry `toVoter`; the others have one field too many, which nobody reads.
  const envelope = { from: idOf(from), to: idOf("n1"), term: term(of), toVoter: true };
  return { ...envelope, ...said };
}

export function at(index: number, of: number): Position {
  return { index: logIndex(index), term: term(of) };
}

/** No-ops of these terms, from `first` on. */
export function noops(first: number, ...terms: readonly number[]): Entry[] {
  return terms.map((of, position) => ({ kind: "noop", ...at(first + position, of) }));
}

/** An append from a leader, behind the entry at `previous`. */
export function append(from: string, of: number, previous: Position, terms: readonly number[], commit = 0): Message {
  const entries = noops(previous.index + 1, ...terms);
  return say(from, of, { kind: "appendRequest", previous, entries, commit: logIndex(commit) });
}

export function createLoneNode(options: LoneNodeOptions = {}): LoneNode {
  const raft = createRaft({
    id: idOf("n1"),
    start: options.start ?? startOf(options),
    timing: { heartbeatTicks, electionTicksMin, drawElectionTicks: () => electionTicks },
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.guards === undefined ? {} : { guards: options.guards }),
  });
  const unflushed: Write[] = [];
  const node: LoneNode = {
    raft,
    take() {
      const taken: ReturnType<LoneNode["take"]> = {
        messages: [],
        writes: [],
        committed: [],
        reads: [],
        chunks: [],
        restored: [],
      };
      for (let ready = raft.ready(); ready !== undefined; ready = raft.ready()) {
        taken.messages.push(...ready.messages);
        taken.committed.push(...ready.committed);
        taken.reads.push(...ready.reads);
        taken.chunks.push(...ready.snapshotChunks);
        if (ready.restore !== undefined) taken.restored.push(ready.restore);
        if (ready.write !== undefined) {
          taken.writes.push(ready.write);
          unflushed.push(ready.write);
        }
      }
      return taken;
    },
    hear: (message) => raft.step(message),
    flush() {
      for (const write of unflushed.splice(0)) raft.flushed(write.token);
    },
    tick(ticks) {
      for (let tick = 0; tick < ticks; tick++) raft.tick();
    },
    lead() {
      node.tick(electionTicks);
      const before = raft.status().term;
      for (const peer of ["n2", "n3"]) {
        node.hear(say(peer, before, { kind: "preVoteResponse", forTerm: term(before + 1), granted: true }));
      }
      node.take();
      node.flush();
      for (const peer of ["n2", "n3"]) node.hear(say(peer, before + 1, { kind: "voteResponse", granted: true }));
      node.take();
      node.flush();
      node.take();
    },
  };
  node.take();
  return node;
}

function startOf(options: LoneNodeOptions): StartState {
  const { voters = ["n1", "n2", "n3"], learners = [], terms = [] } = options;
  const formatted = formattedStart(voters.map((name) => ({ id: idOf(name), address: name })));
  const membership = {
    voters: formatted.snapshot.membership.voters,
    learners: learners.map((name) => ({ id: idOf(name), address: name })),
  };
  const newest: Term = term(options.term ?? terms.at(-1) ?? 1);
  return {
    hardState: { term: newest, votedFor: options.votedFor === undefined ? undefined : idOf(options.votedFor) },
    snapshot: { ...formatted.snapshot, membership },
    entries: noops(2, ...terms),
  };
}
