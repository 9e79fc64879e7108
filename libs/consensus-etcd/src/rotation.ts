/**
 * The members of etcd in turn, for one purpose. One member is used until it fails; then the next is, at once while there
 * are others to try, and after a pause that grows when all of them failed.
 */
import { below, delay, type Runtime } from "@tidemark/runtime";
import type { ConnectionPurpose, EtcdEventSink } from "./events.ts";
import type { EtcdMembers, EtcdStubs } from "./stubs.ts";

/** Milliseconds of the pause behind each round of all members, up to the last. A half of it is by chance. */
const pausesMs = [50, 100, 200, 400, 800] as const;

export interface Member {
  readonly endpoint: string;
  readonly stubs: EtcdStubs;
}

export interface Rotation {
  /** The member to use now, after the pause. Rejects with the signal's reason. */
  member(signal: AbortSignal): Promise<Member>;
  /** It answered: the next failure is a first one. */
  succeeded(member: Member): void;
  /** It did not. A member that is not the current one any more failed before. */
  failed(member: Member, cause: string): void;
  /** Ends the connections. */
  close(): void;
}

export function createRotation(options: {
  readonly purpose: ConnectionPurpose;
  readonly members: EtcdMembers;
  readonly runtime: Runtime;
  readonly onEvent: EtcdEventSink;
}): Rotation {
  const { purpose, members, runtime, onEvent } = options;
  // By chance, so that not everybody begins with the same.
  let at = below(runtime.random, members.endpoints.length);
  let failures = 0;
  let pauseUntilMs = 0;
  let current: Member | undefined;
  let isClosed = false;

  const open = (): Member => {
    const endpoint = members.endpoints[at % members.endpoints.length];
    if (endpoint === undefined) throw new Error("Broken invariant: etcd has a member");
    return { endpoint, stubs: members.connect(endpoint) };
  };

  const pauseMs = (): number => {
    const rounds = Math.floor(failures / members.endpoints.length);
    if (rounds === 0 || failures % members.endpoints.length > 0) return 0;
    const most = pausesMs[Math.min(rounds, pausesMs.length) - 1] ?? 0;
    return most / 2 + below(runtime.random, most / 2);
  };

  return {
    async member(signal) {
      for (;;) {
        const leftMs = pauseUntilMs - runtime.clock.monotonicMs();
        if (leftMs <= 0) break;
        await delay(runtime.scheduler, Math.max(1, leftMs), signal);
      }
      signal.throwIfAborted();
      if (isClosed) throw new Error("Broken invariant: nobody asks for a member after the end");
      current ??= open();
      return current;
    },
    succeeded(member) {
      if (member === current) failures = 0;
    },
    failed(member, cause) {
      if (member !== current) return;
      failures += 1;
      at += 1;
      pauseUntilMs = runtime.clock.monotonicMs() + pauseMs();
      current = undefined;
      member.stubs.close();
      onEvent({ kind: "memberFailed", purpose, endpoint: member.endpoint, cause, failures });
    },
    close() {
      isClosed = true;
      current?.stubs.close();
      current = undefined;
    },
  };
}
