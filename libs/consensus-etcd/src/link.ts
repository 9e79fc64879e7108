/**
 * etcd as the store of one candidate: what `createCandidate` needs of a store, on one etcd cluster and one prefix.
 *
 * A session is a lease. It begins when a lease is granted and the feed stands, and it is lost when belief in the lease
 * ends or etcd says that the lease is gone; what breaks meanwhile (a member, a stream, the history) is mended within it.
 */
import type { SessionHandlers, StoreLink, StoreSession } from "@tidemark/consensus";
import type { Revision } from "@tidemark/ids";
import { delay, type Runtime } from "@tidemark/runtime";
import { createCalls } from "./calls.ts";
import { keepCompacting } from "./compaction.ts";
import type { ConnectionPurpose, EtcdEventSink } from "./events.ts";
import { openFeed } from "./feed.ts";
import { allEtcdGuards, type EtcdGuards } from "./guards.ts";
import { createKeptKeys } from "./kept-keys.ts";
import { createKeyspace } from "./keyspace.ts";
import { keepLease, type Lease } from "./lease.ts";
import type { LinkParts } from "./link-parts.ts";
import { createRotation } from "./rotation.ts";
import { createSession, type LinkSession } from "./session.ts";
import { callTimeoutMs, type EtcdSettings, refusalPauseMs, refuseSettings, renewalTimeoutMs } from "./settings.ts";
import { EtcdError, type EtcdMembers } from "./stubs.ts";

export interface EtcdLinkOptions {
  readonly members: EtcdMembers;
  readonly settings: EtcdSettings;
  readonly runtime: Runtime;
  readonly onEvent: EtcdEventSink;
  /** Defaults to all of them. */
  readonly guards?: EtcdGuards;
}

export interface EtcdLink extends StoreLink {
  /** Ends the connections. Sessions are to be closed before. */
  close(): void;
}

/** Throws RangeError on a prefix or a lease that etcd cannot keep. */
export function createEtcdLink(options: EtcdLinkOptions): EtcdLink {
  const { members, settings, runtime, onEvent, guards = allEtcdGuards } = options;
  refuseSettings(settings);
  const rotationFor = (purpose: ConnectionPurpose) => createRotation({ purpose, members, runtime, onEvent });
  const rotations = { calls: rotationFor("calls"), lease: rotationFor("lease"), watch: rotationFor("watch") };
  const keyspace = createKeyspace(settings.prefix);
  const parts: LinkParts = {
    settings,
    runtime,
    guards,
    onEvent,
    keyspace,
    kept: createKeptKeys(keyspace),
    calls: createCalls({ rotation: rotations.calls, runtime, timeoutMs: callTimeoutMs(settings) }),
    rotations,
    abandoned: new Set(),
  };
  return {
    connect: (from, handlers, signal) => connect(parts, { from, handlers }, signal),
    close() {
      for (const rotation of Object.values(rotations)) rotation.close();
    },
  };
}

interface Wanted {
  readonly from: Revision | undefined;
  readonly handlers: SessionHandlers;
}

/** Tries until a session stands. What no member would grant is asked for again after a pause, and reported each time. */
async function connect(parts: LinkParts, { from, handlers }: Wanted, signal: AbortSignal): Promise<StoreSession> {
  let behind = from;
  for (;;) {
    const session = createSession(parts, handlers, behind);
    try {
      await establish(parts, { session, from: behind }, signal);
      return session;
    } catch (error) {
      await session.close();
      signal.throwIfAborted();
      behind = session.toldUpTo();
      if (error instanceof EtcdError) {
        parts.onEvent({ kind: "connectFailed", code: error.code, message: error.message });
        await delay(parts.runtime.scheduler, refusalPauseMs, signal);
      } else if (!session.isLost()) throw error;
    }
  }
}

/** Rejects with EtcdError, with the signal's reason, or with whatever ended the session meanwhile. */
async function establish(
  parts: LinkParts,
  { session, from }: { readonly session: LinkSession; readonly from: Revision | undefined },
  signal: AbortSignal,
): Promise<void> {
  session.leased(await takeLease(parts, signal, (cause) => session.lose(cause)));
  const feed = await openFeed(
    from,
    {
      calls: parts.calls,
      rotation: parts.rotations.watch,
      keyspace: parts.keyspace,
      kept: parts.kept,
      runtime: parts.runtime,
      silenceMs: parts.settings.leaseMs,
      guards: parts.guards,
      onEvent: parts.onEvent,
      onFeed: session.onFeed,
    },
    AbortSignal.any([signal, session.signal]),
  );
  session.fed(feed);
  if (from !== undefined) {
    // What was missed is told before anybody acts on what was known.
    const revision = await session.read();
    await session.told(() => feed.revision() >= revision);
  }
  signal.throwIfAborted();
  session.begin();
  keepCompacting(parts, { lease: () => session.lease(), revision: () => feed.revision(), signal: session.signal });
}

async function takeLease(parts: LinkParts, signal: AbortSignal, onLost: (cause: string) => void): Promise<Lease> {
  const { settings, runtime, onEvent, calls, abandoned, rotations, guards } = parts;
  let askedAtMs = 0;
  const grant = await calls.patiently((stubs) => {
    askedAtMs = runtime.clock.monotonicMs();
    return stubs.leaseGrant(settings.leaseMs / 1000);
  }, signal);
  const ttlMs = grant.ttlSeconds * 1000;
  onEvent({ kind: "leaseGranted", lease: grant.id, ttlMs, ms: runtime.clock.monotonicMs() - askedAtMs });
  if (ttlMs !== settings.leaseMs) onEvent({ kind: "leaseNotAsAsked", askedMs: settings.leaseMs, ttlMs });
  for (const lease of [...abandoned]) {
    abandoned.delete(lease);
    await calls.once((stubs) => stubs.leaseRevoke(lease), signal).catch(() => undefined);
  }
  return keepLease({
    grant,
    askedAtMs,
    rotation: rotations.lease,
    runtime,
    renewalMs: settings.renewalMs,
    timeoutMs: renewalTimeoutMs(settings),
    guards,
    onLost(cause) {
      onEvent({ kind: "leaseLost", lease: grant.id, cause });
      abandoned.add(grant.id);
      onLost(cause);
    },
  });
}
