/**
 * A candidate over a store of guarded requests: the consensus interface for the twin and for the single-node backend.
 * The order in which it takes in a change of the tree is its own copy and watches first, then the election, so that a
 * leader is announced after its watches were given everything (C4).
 */
import { revision as toRevision } from "@tidemark/ids";
import { abortWith, createDeferred, type Runtime } from "@tidemark/runtime";
import { createAppendFront } from "../append-front.ts";
import {
  type AppendOutcome,
  type CandidateIdentity,
  type Consensus,
  ConsensusError,
  type Leadership,
  type Member,
  type MemberChange,
  type MemberChangeOutcome,
} from "../consensus.ts";
import type { EventSink } from "../events.ts";
import { createLatestValue } from "../latest-value.ts";
import type { StoreFeed, StoreLink } from "../store/store-link.ts";
import { createWatchHub, type WatchHub } from "../watch-hub.ts";
import { anyoneMayClaim, type ClaimRight } from "./claim-right.ts";
import { type Connection, createConnection } from "./connection.ts";
import { createElection } from "./election.ts";
import { readRevision, told } from "./exchange.ts";
import { allCandidateGuards, type CandidateGuards } from "./guards.ts";
import { createStoreKeys, type StoreKeys } from "./store-keys.ts";
import type { TakeoverSettings } from "./takeover.ts";

export interface CandidateOptions {
  readonly link: StoreLink;
  readonly runtime: Runtime;
  readonly onEvent: EventSink;
  /** Defaults to all of them. */
  readonly guards?: CandidateGuards;
  /** Defaults to everybody's. */
  readonly right?: ClaimRight;
  /** Defaults to every candidate that was seen to live, and nothing to change. */
  readonly members?: MemberRegister;
  /** Where a store takes a while to miss a leader. Absent: only the store ends the leadership of others. */
  readonly takeover?: TakeoverSettings;
}

/** Who takes part in the consensus behind the candidates. */
export interface MemberRegister {
  /** `living`: the candidates that live. `known`: those that lived while this one looked on, the living too. */
  describe(living: readonly CandidateIdentity[], known: readonly CandidateIdentity[]): readonly Member[];
  change(change: MemberChange, signal: AbortSignal): Promise<MemberChangeOutcome>;
}

export function createCandidate(options: CandidateOptions): Consensus {
  const { link, runtime, onEvent, guards = allCandidateGuards, takeover } = options;
  const { right = anyoneMayClaim(), members = onlyCandidates } = options;
  const ending = new AbortController();
  const belief = createLatestValue<Leadership>({ kind: "none" });
  const hub = createWatchHub(onEvent);
  const keys = createStoreKeys(onEvent);
  const connection: Connection = createConnection(link, {
    resumeFrom: () => hub.revision(),
    onFeed(feed) {
      takeIn(feed, { hub, keys, onEvent });
      election.onFeed(feed);
    },
    onConnected(session) {
      onEvent({ kind: "connected" });
      election.onConnected(session);
    },
    onLost(cause) {
      election.onLost();
      onEvent({ kind: "disconnected", cause });
    },
    onFailed: (message) => end("FAILED", message),
  });
  const election = createElection(
    { runtime, hub, keys, connection, right, onEvent, guards, takeover, signal: ending.signal },
    belief,
  );
  right.onChange(() => election.onRight());

  /** The first reason stays. */
  const end = (code: "CLOSED" | "FAILED", message: string) => {
    if (ending.signal.aborted) return;
    const error = new ConsensusError(code, message);
    election.end(code, message);
    ending.abort(error);
    belief.end(code === "FAILED" ? error : undefined);
    hub.end(error, code === "FAILED" ? "throw" : "end");
  };

  /** A store may answer before it tells: whoever is told of a batch finds it in the watches. */
  const whenTold = async (settling: Promise<AppendOutcome>): Promise<AppendOutcome> => {
    const outcome = await settling;
    const session = connection.current();
    if (outcome.kind === "committed" && session !== undefined && (hub.revision() ?? -1n) < outcome.revision) {
      await told(session, outcome.revision, { connection, hub, signal: ending.signal });
    }
    return outcome;
  };

  return {
    async join(identity) {
      ending.signal.throwIfAborted();
      await election.join(identity);
    },
    leadership: () => belief.values(),
    resign: () => election.resign(),
    append: createAppendFront({ append: (epoch, changes) => whenTold(election.append(epoch, changes)), onEvent }),
    seal: (epoch) => whenTold(election.seal(epoch)),
    unseal: () => whenTold(election.unseal()),
    async sync(signal) {
      const over = new AbortController();
      const unbind = abortWith(over, signal, ending.signal);
      return sync(over.signal, { connection, hub }).finally(unbind);
    },
    watch: (signal) => hub.watch(signal),
    async describeMembers() {
      ending.signal.throwIfAborted();
      await hub.reached(toRevision(0n), ending.signal);
      return members.describe(keys.candidates(), keys.known());
    },
    async changeMembers(change) {
      ending.signal.throwIfAborted();
      return members.change(change, ending.signal);
    },
    async close() {
      end("CLOSED", "the candidate was closed");
      await connection.close();
    },
  };
}

const onlyCandidates: MemberRegister = {
  // The store has the living only: who is down is remembered, so that he is missed by name.
  describe: (living, known) =>
    known.map((identity) => ({
      ...identity,
      voter: true,
      alive: living.some(({ directoryId }) => directoryId === identity.directoryId),
    })),
  async change() {
    const message = "this store has no members to change: every controller that is started on it is a candidate";
    return { kind: "refused", reason: "MEMBERS_NOT_MANAGED_HERE", message };
  },
};

function takeIn(
  feed: StoreFeed,
  { hub, keys, onEvent }: { readonly hub: WatchHub; readonly keys: StoreKeys; readonly onEvent: EventSink },
): void {
  keys.feed(feed);
  if (feed.kind === "batch") {
    hub.apply(feed.batch.revision, feed.batch.changes);
    return;
  }
  const isFirst = hub.revision() === undefined;
  hub.reset(feed.revision, new Map([...feed.entries].map(([key, { value }]) => [key, value])));
  if (!isFirst) onEvent({ kind: "watchReset", revision: feed.revision });
}

async function sync(
  signal: AbortSignal,
  { connection, hub }: { readonly connection: Connection; readonly hub: WatchHub },
) {
  for (;;) {
    const session = await connection.connected(signal);
    const revision = await unlessAborted(readRevision(session), signal);
    if (revision === undefined) continue;
    await hub.reached(revision, signal);
    return revision;
  }
}

/** The promise's value, or a rejection with the signal's reason as soon as it is aborted. */
async function unlessAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  const aborted = createDeferred<never>();
  const onAbort = () => aborted.reject(abortReason(signal));
  signal.throwIfAborted();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function abortReason(signal: AbortSignal): Error {
  const reason: unknown = signal.reason;
  return reason instanceof Error ? reason : new Error("Aborted", { cause: reason });
}
