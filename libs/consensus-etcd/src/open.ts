/** The consensus backend on etcd, for one process. */
import { type Consensus, type ConsensusEvent, createCandidate, type Dial } from "@tidemark/consensus";
import type { Runtime } from "@tidemark/runtime";
import { createCalls } from "./calls.ts";
import type { EtcdEvent } from "./events.ts";
import { createKeyspace } from "./keyspace.ts";
import { createEtcdLink } from "./link.ts";
import { createRotation } from "./rotation.ts";
import { callTimeoutMs, type EtcdSettings, refuseSettings } from "./settings.ts";
import { EtcdError, type EtcdMembers } from "./stubs.ts";

/**
 * | code                     | cause                                                     | way out                             |
 * |--------------------------|-----------------------------------------------------------|-------------------------------------|
 * | UNREACHABLE              | no endpoint answered in time                              | see the cause; are they right?      |
 * | DENIED                   | wrong credentials, or no right to the prefix              | correct the user, or grant it       |
 * | NO_SPACE                 | etcd's space quota is used up, or its alarm is raised     | make room there, disarm the alarm   |
 * | INVALID_SETTINGS         | a prefix or a lease that etcd cannot keep                 | correct the setting                 |
 * | SESSION_TIMEOUT_NOT_KEPT | etcd grants another time to live than was asked for       | a longer lease: it says the least   |
 */
export type EtcdOpenErrorCode = "UNREACHABLE" | "DENIED" | "NO_SPACE" | "INVALID_SETTINGS" | "SESSION_TIMEOUT_NOT_KEPT";

/** Why the backend cannot be opened. Nothing in etcd was changed. */
export class EtcdOpenError extends Error {
  readonly code: EtcdOpenErrorCode;

  constructor(code: EtcdOpenErrorCode, message: string, options?: ErrorOptions) {
    super(`${code}: ${message}`, options);
    this.name = "EtcdOpenError";
    this.code = code;
  }
}

export interface EtcdStoreOptions {
  readonly members: EtcdMembers;
  readonly settings: EtcdSettings;
  readonly runtime: Runtime;
  /** How long the members may take to answer at the start, milliseconds. */
  readonly patienceMs: number;
  /** How standbys see that the active controller's process is gone. Absent: only its lease tells. */
  readonly dial?: Dial;
  /** Defaults to nobody who listens. */
  readonly onEvent?: (event: ConsensusEvent | EtcdEvent) => void;
}

export interface EtcdStore {
  /** A handle, not joined yet. */
  candidate(): Consensus;
  /** Ends the connections. Candidates are to be closed before. */
  close(): void;
}

/** For how long an endpoint has to refuse before a standby takes over, milliseconds. */
const takeoverGraceMs = 300;

/** Sees that etcd can be used as the settings say. Throws EtcdOpenError. */
export async function openEtcdStore(options: EtcdStoreOptions): Promise<EtcdStore> {
  const { members, settings, runtime, onEvent = () => {} } = options;
  try {
    refuseSettings(settings);
    createKeyspace(settings.prefix);
  } catch (error) {
    throw new EtcdOpenError("INVALID_SETTINGS", messageOf(error), { cause: error });
  }
  await probe(options);
  const closing: (() => void)[] = [];
  return {
    candidate() {
      const link = createEtcdLink({ members, settings, runtime, onEvent });
      closing.push(() => link.close());
      const { dial } = options;
      const takeover = dial && { dial, graceMs: takeoverGraceMs, cooldownMs: settings.leaseMs };
      return createCandidate({ link, runtime, onEvent, ...(takeover && { takeover }) });
    },
    close() {
      for (const close of closing.splice(0)) close();
    },
  };
}

/** Reads a key under the prefix, and has a lease granted and revoked. */
async function probe({ members, settings, runtime, patienceMs, onEvent = () => {} }: EtcdStoreOptions): Promise<void> {
  let lastCause = "none of them answered";
  const rotation = createRotation({
    purpose: "calls",
    members,
    runtime,
    onEvent(event) {
      if (event.kind === "memberFailed") lastCause = `${event.endpoint}: ${event.cause}`;
      onEvent(event);
    },
  });
  const calls = createCalls({ rotation, runtime, timeoutMs: callTimeoutMs(settings) });
  const giveUp = new AbortController();
  const cancel = runtime.scheduler.after(patienceMs, () => {
    const named = members.endpoints.join(", ");
    giveUp.abort(
      new EtcdOpenError("UNREACHABLE", `no etcd at ${named} within ${patienceMs} ms; the last: ${lastCause}`),
    );
  });
  try {
    await calls.patiently((stubs) => stubs.range(createKeyspace(settings.prefix).fence), giveUp.signal);
    const grant = await calls.patiently((stubs) => stubs.leaseGrant(settings.leaseMs / 1000), giveUp.signal);
    await calls.once((stubs) => stubs.leaseRevoke(grant.id), giveUp.signal).catch(() => undefined);
    refuseOtherTtl(grant.ttlSeconds * 1000, settings.leaseMs);
  } catch (error) {
    throw error instanceof EtcdError ? refusalOf(error, settings.prefix) : error;
  } finally {
    cancel();
    rotation.close();
  }
}

function refusalOf(error: EtcdError, prefix: string): EtcdOpenError {
  if (error.code !== "NO_SPACE") {
    const wayOut = `correct consensus.etcd.username and consensus.etcd.password, or grant the user's role to read and write from ${prefix}/ up to ${prefix}0`;
    return new EtcdOpenError("DENIED", `etcd refused: ${error.message}. Way out: ${wayOut}`, { cause: error });
  }
  const wayOut = "compact and defragment etcd or raise its quota, then disarm the alarm";
  return new EtcdOpenError("NO_SPACE", `etcd has no space: ${error.message}. Way out: ${wayOut}`, { cause: error });
}

function refuseOtherTtl(ttlMs: number, askedMs: number): void {
  if (ttlMs === askedMs) return;
  throw new EtcdOpenError(
    "SESSION_TIMEOUT_NOT_KEPT",
    `etcd grants a lease of ${ttlMs} ms where ${askedMs} were asked for: its least follows from its own election timeout. Ask for ${ttlMs}`,
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
