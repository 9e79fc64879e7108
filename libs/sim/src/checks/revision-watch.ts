import type { Consensus, WatchEvent } from "@tidemark/consensus";
import { MetadataFrame } from "@tidemark/proto/cluster/v1";
import { hashBytes, hashText } from "../engine/trace-hash.ts";
import { createKeyDigest, type KeyDigest } from "./key-digest.ts";
import { type ChangeDigest, readFrame } from "./metadata-frames.ts";
import type { Violations } from "./violations.ts";

/**
 * The metadata are the same at the same revision everywhere (C2, P15): over all processes and all their lives,
 *
 * - what the store shows to controllers, of every key;
 * - what controllers tell brokers, gateways and onlookers, by snapshots and by changes.
 */
export interface RevisionWatch {
  /** A process begins to follow the metadata by WatchMetadata. Returns what is to be told of each message that it gets. */
  readonly follow: (process: string) => (bytes: Uint8Array) => void;
  /** The handle of a controller's process on the store, looked at. */
  readonly lookAt: (process: string, consensus: Consensus) => Consensus;
  /** The process has ended. */
  readonly forget: (process: string) => void;
}

/** What was seen first at a revision, and in which process. */
interface Seen {
  readonly digest: number;
  readonly process: string;
}

/** What a process was told, as it takes it: nothing of an older controller, nothing twice. */
interface Told {
  controllerEpoch: number;
  revision: bigint;
  keys: KeyDigest;
}

export function createRevisionWatch({ report }: Violations): RevisionWatch {
  const seenIn = { store: new Map<bigint, Seen>(), told: new Map<bigint, Seen>() };
  const processes = new Map<string, Told>();

  const compare = (where: keyof typeof seenIn, process: string, revision: bigint, digest: number) => {
    const seen = seenIn[where];
    const first = seen.get(revision);
    if (first === undefined) seen.set(revision, { digest, process });
    else if (first.digest !== digest) {
      const what = where === "store" ? "the store shows" : "controllers tell";
      report(
        "metadata differ at one revision",
        `${what} ${process} at revision ${revision} not what ${first.process} saw`,
      );
    }
  };

  const lookAtStore = (process: string) => {
    let keys = createKeyDigest();
    return (event: WatchEvent) => {
      if (event.kind === "snapshot") {
        keys = createKeyDigest();
        for (const [key, value] of event.entries) keys.put(key, hashBytes(value, hashText(key)));
      } else {
        for (const change of event.changes) {
          if (change.kind === "put") keys.put(change.key, hashBytes(change.value, hashText(change.key)));
          else keys.remove(change.key);
        }
      }
      compare("store", process, event.revision, keys.value);
    };
  };

  return {
    follow(process) {
      const told: Told = processes.get(process) ?? { controllerEpoch: 0, revision: -1n, keys: createKeyDigest() };
      processes.set(process, told);
      let parts: ChangeDigest[] = [];
      return (bytes) => {
        const { controllerEpoch, revision, frame, changes } = readFrame(bytes);
        const isDelta = frame === MetadataFrame.DELTA;
        if (controllerEpoch < told.controllerEpoch) return;
        const isKnown = isDelta ? revision <= told.revision : revision < told.revision;
        if (controllerEpoch === told.controllerEpoch && isKnown) return;
        if (frame === MetadataFrame.SNAPSHOT_PART) {
          parts.push(...changes);
          return;
        }
        if (!isDelta) told.keys = createKeyDigest();
        apply(told.keys, parts);
        apply(told.keys, changes);
        parts = [];
        told.controllerEpoch = controllerEpoch;
        told.revision = revision;
        compare("told", process, revision, told.keys.value);
      };
    },
    lookAt: (process, consensus) => ({
      ...consensus,
      watch: (signal) => tap(consensus.watch(signal), lookAtStore(process)),
    }),
    forget: (process) => processes.delete(process),
  };
}

function apply(keys: KeyDigest, changes: readonly ChangeDigest[]): void {
  for (const { key, hash } of changes) {
    if (hash === undefined) keys.remove(key);
    else keys.put(key, hash);
  }
}

/** The same steps, and not one turn of promises later: whoever looks on changes nothing in a run. */
function tap<Value>(source: AsyncIterable<Value>, look: (value: Value) => void): AsyncIterable<Value> {
  return {
    [Symbol.asyncIterator]() {
      const steps = source[Symbol.asyncIterator]();
      return {
        next() {
          const step = steps.next();
          step.then(
            (result) => {
              if (result.done !== true) look(result.value);
            },
            () => undefined,
          );
          return step;
        },
        return: (value?: unknown) => steps.return?.(value) ?? Promise.resolve({ done: true, value }),
      };
    },
  };
}
