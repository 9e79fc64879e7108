/**
 * Applies committed entries to this node's copy of the store, tells the session that follows it, and answers whoever
 * proposed them here.
 */
import type { StoreAnswer, StoreFeed } from "@tidemark/consensus";
import { createHistory, type History } from "@tidemark/consensus/store";
import type { Revision } from "@tidemark/ids";
import { type Entry, type LogIndex, noIndex } from "@tidemark/raft";
import type { Crc32c } from "@tidemark/record";
import { decodeCommand } from "../replica/commands.ts";
import type { Replica } from "../replica/replica.ts";
import { decodeContent } from "../replica/snapshot-codec.ts";
import type { NodeEventSink } from "./events.ts";
import type { Proposals } from "./proposals.ts";

/** Who follows the store of this node. */
export interface Follower {
  onFeed(feed: StoreFeed): void;
  onSessionEnded(session: string): void;
}

export interface Applier {
  /** Up to where everything is applied. */
  index(): LogIndex;
  apply(entry: Entry): void;
  /** Takes the place of everything by the state of a snapshot. Throws MalformedBytesError where that is damaged. */
  restore(index: LogIndex, state: Uint8Array): void;
  /** What a session that resumes behind `from` has missed: the batches, or a snapshot where they are forgotten. */
  missedSince(from: Revision | undefined): readonly StoreFeed[];
  /** Forgets the batches: whoever resumes gets a snapshot. */
  forgetHistory(): void;
  /** Undefined: nobody follows. */
  setFollower(follower: Follower | undefined): void;
}

interface State {
  readonly replica: Replica;
  readonly proposals: Proposals;
  readonly onEvent: NodeEventSink;
  history: History;
  index: LogIndex;
  follower: Follower | undefined;
}

const nothing: StoreAnswer = { kind: "committed", revisions: [] };

export function createApplier(options: {
  readonly replica: Replica;
  readonly proposals: Proposals;
  readonly crc32c: Crc32c;
  readonly onEvent: NodeEventSink;
}): Applier {
  const { replica } = options;
  const state: State = {
    ...options,
    history: createHistory(replica.revision()),
    index: noIndex,
    follower: undefined,
  };
  return {
    index: () => state.index,
    apply(entry) {
      state.index = entry.index;
      const answer = entry.kind === "batch" ? applyCommand(state, entry.data) : nothing;
      state.proposals.settle(entry, answer);
    },
    restore(index, bytes) {
      const before = new Set(replica.sessions().keys());
      replica.restore(decodeContent(bytes, options.crc32c));
      state.history = createHistory(replica.revision());
      state.index = index;
      state.proposals.passOver(index);
      state.follower?.onFeed(snapshotOf(replica));
      for (const session of before) if (!replica.sessions().has(session)) state.follower?.onSessionEnded(session);
    },
    missedSince(from) {
      const missed = from === undefined ? undefined : state.history.after(from);
      return missed?.map((batch) => ({ kind: "batch", batch })) ?? [snapshotOf(replica)];
    },
    forgetHistory: () => state.history.forget(),
    setFollower(follower) {
      state.follower = follower;
    },
  };
}

function applyCommand(state: State, data: Uint8Array): StoreAnswer {
  const { answer, batches, ended } = state.replica.apply(decodeCommand(data));
  for (const batch of batches) {
    state.history.add(batch);
    state.follower?.onFeed({ kind: "batch", batch });
  }
  for (const { session, keys } of ended) {
    state.onEvent({ kind: "sessionEnded", session, keys });
    state.follower?.onSessionEnded(session);
  }
  return answer;
}

function snapshotOf(replica: Replica): StoreFeed {
  return { kind: "snapshot", revision: replica.revision(), entries: replica.entries() };
}
