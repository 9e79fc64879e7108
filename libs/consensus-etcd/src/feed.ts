/**
 * What one session follows: every key under the prefix, whole revision by whole revision, on one watch behind the other.
 * A stream that broke is resumed on the next member behind the last whole revision; where the history does not reach back
 * so far, a list takes its place as a snapshot.
 */
import type { StoreChange, StoredValue, StoreFeed } from "@tidemark/consensus";
import { type Revision, revision as toRevision } from "@tidemark/ids";
import type { Cancel, Runtime } from "@tidemark/runtime";
import { type Assembler, createAssembler, type WholeRevision } from "./assembler.ts";
import type { Calls } from "./calls.ts";
import type { EtcdEventSink } from "./events.ts";
import type { EtcdGuards } from "./guards.ts";
import type { KeptKeys } from "./kept-keys.ts";
import type { Keyspace } from "./keyspace.ts";
import { listAll } from "./list.ts";
import type { Member, Rotation } from "./rotation.ts";
import { refusalPauseMs } from "./settings.ts";
import { type EtcdChange, EtcdError, type EtcdKeyValue, type EtcdWatch, noLease, type WatchResponse } from "./stubs.ts";

export interface Feed {
  /** Up to where it was told. */
  revision(): Revision;
  close(): void;
}

export interface FeedOptions {
  readonly calls: Calls;
  readonly rotation: Rotation;
  readonly keyspace: Keyspace;
  readonly kept: KeptKeys;
  readonly runtime: Runtime;
  /** A watch that is silent for so long, though it was asked for a sign of life, is resumed on another member. */
  readonly silenceMs: number;
  readonly guards: EtcdGuards;
  readonly onEvent: EtcdEventSink;
  readonly onFeed: (feed: StoreFeed) => void;
}

interface FeedState {
  readonly options: FeedOptions;
  readonly assembler: Assembler;
  revision: Revision;
  stream: { readonly member: Member; readonly watch: EtcdWatch; readonly openedAtMs: number } | undefined;
  readonly ending: AbortController;
  cancelSilence: Cancel;
}

/**
 * Resolves when the feed stands: behind `from`, or with a snapshot where that is undefined or compacted. Rejects with the
 * signal's reason, or an EtcdError that no other member would change.
 */
export async function openFeed(from: Revision | undefined, options: FeedOptions, signal: AbortSignal): Promise<Feed> {
  const revision = from ?? toRevision(0n);
  const state: FeedState = {
    options,
    assembler: createAssembler(revision, options.guards),
    revision,
    stream: undefined,
    ending: new AbortController(),
    cancelSilence: () => {},
  };
  if (from === undefined) await takeSnapshot(state, signal);
  openWatch(state);
  return { revision: () => state.revision, close: () => close(state) };
}

async function takeSnapshot(state: FeedState, signal: AbortSignal): Promise<void> {
  const { calls, keyspace, kept, runtime, onEvent, onFeed } = state.options;
  const startedMs = runtime.clock.monotonicMs();
  const { revision, entries, pages } = await listAll(calls, keyspace.all, signal);
  if (state.ending.signal.aborted) return;
  onEvent({ kind: "listed", revision, entries: entries.length, pages, ms: runtime.clock.monotonicMs() - startedMs });
  state.revision = revision;
  state.assembler.startBehind(revision);
  kept.reset(entries);
  onFeed({ kind: "snapshot", revision, entries: new Map(entries.map((entry) => storedOf(entry, keyspace))) });
}

function storedOf({ key, value, lease }: EtcdKeyValue, keyspace: Keyspace): [string, StoredValue] {
  return [keyspace.fromEtcd(key), { value, held: lease !== noLease }];
}

function openWatch(state: FeedState): void {
  const { rotation, keyspace, runtime } = state.options;
  rotation.member(state.ending.signal).then(
    (member) => {
      if (state.ending.signal.aborted) return;
      const startRevision = state.assembler.restart();
      const watch = member.stubs.watch(
        { ...keyspace.all, startRevision },
        {
          onMessage: (response) => onResponse(state, member, response),
          onEnd: (error) => interrupted(state, member, error),
        },
      );
      state.stream = { member, watch, openedAtMs: runtime.clock.monotonicMs() };
      awaitSign(state, member);
    },
    () => {},
  );
}

function onResponse(state: FeedState, member: Member, response: WatchResponse): void {
  const { stream } = state;
  if (stream?.member !== member) return;
  const { rotation, runtime, onEvent } = state.options;
  awaitSign(state, member);
  if (response.canceled !== undefined) {
    canceled(state, member, response.canceled);
    return;
  }
  if (!response.created) {
    // A stream that begins and breaks off again and again has not succeeded.
    rotation.succeeded(member);
  } else {
    const ms = runtime.clock.monotonicMs() - stream.openedAtMs;
    onEvent({ kind: "watchStarted", endpoint: member.endpoint, from: state.revision, ms });
  }
  for (const whole of state.assembler.take(response)) tell(state, whole);
}

function tell(state: FeedState, { revision, changes }: WholeRevision): void {
  const { keyspace, kept, onFeed } = state.options;
  state.revision = revision;
  kept.apply(changes);
  onFeed({ kind: "batch", batch: { revision, changes: changes.map((change) => changeOf(change, keyspace)) } });
}

function changeOf(change: EtcdChange, keyspace: Keyspace): StoreChange {
  const key = keyspace.fromEtcd(change.key);
  if (change.kind === "delete") return { kind: "delete", key };
  return { kind: "put", key, value: change.value, ephemeral: change.lease !== noLease };
}

/** Compacted: a list takes the place of what is gone. Anything else: another member. */
function canceled(
  state: FeedState,
  member: Member,
  { reason, compactRevision }: NonNullable<WatchResponse["canceled"]>,
): void {
  if (compactRevision === 0n) {
    interrupted(state, member, new EtcdError("LOST", reason === "" ? "etcd canceled the watch" : reason));
    return;
  }
  const wanted = state.assembler.restart();
  state.options.onEvent({ kind: "watchCompacted", wanted, compacted: toRevision(compactRevision) });
  closeWatch(state);
  beginAnew(state);
}

function beginAnew(state: FeedState): void {
  const { scheduler } = state.options.runtime;
  takeSnapshot(state, state.ending.signal).then(
    () => openWatch(state),
    (error: unknown) => {
      if (state.ending.signal.aborted) return;
      if (!(error instanceof EtcdError)) throw error;
      state.cancelSilence = scheduler.after(refusalPauseMs, () => beginAnew(state));
    },
  );
}

function interrupted(state: FeedState, member: Member, error: EtcdError): void {
  if (state.stream?.member !== member) return;
  const { rotation, onEvent } = state.options;
  closeWatch(state);
  const next = toRevision(state.revision + 1n);
  onEvent({ kind: "watchInterrupted", endpoint: member.endpoint, cause: error.message, next });
  rotation.failed(member, error.message);
  openWatch(state);
}

/** After half of the time without a word the watch is asked for one; after all of it the member counts as failed. */
function awaitSign(state: FeedState, member: Member): void {
  const { runtime, silenceMs } = state.options;
  const { scheduler } = runtime;
  state.cancelSilence();
  state.cancelSilence = scheduler.after(silenceMs / 2, () => {
    state.stream?.watch.requestProgress();
    state.cancelSilence = scheduler.after(silenceMs / 2, () => {
      state.cancelSilence = scheduler.afterInput(() => {
        interrupted(state, member, new EtcdError("LOST", `the watch was silent for ${silenceMs} ms`));
      });
    });
  });
}

function closeWatch(state: FeedState): void {
  state.cancelSilence();
  state.stream?.watch.close();
  state.stream = undefined;
}

function close(state: FeedState): void {
  state.ending.abort(new Error("the feed was closed"));
  closeWatch(state);
}
