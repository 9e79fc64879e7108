/**
 * What the store's own keys say, as this candidate's copy of the tree has them. A value that does not parse is reported
 * once for each time it is written, and counts as not said (C12).
 */
import type { ControllerEpoch, Revision } from "@tidemark/ids";
import { formatKey, parseKey } from "@tidemark/metadata";
import { faultOfKey } from "../batch.ts";
import type { CandidateIdentity } from "../consensus.ts";
import type { EventSink } from "../events.ts";
import {
  type AppendValue,
  type ControllerValue,
  decodeAppend,
  decodeCandidate,
  decodeController,
  decodeControllerEpoch,
  type ResignedValue,
} from "../records.ts";
import type { StoreFeed } from "../store/store-link.ts";
import { isStoreKey } from "../store-key.ts";

export const controllerKey = formatKey({ kind: "controller" });
export const controllerEpochKey = formatKey({ kind: "controllerEpoch" });
export const appendKey = formatKey({ kind: "append" });

/** A key of the store: its bytes, what they say, and whether a living session holds them. */
export interface StoreKey<Value> {
  /** Undefined: absent. */
  readonly bytes: Uint8Array | undefined;
  /** Undefined: absent, or it does not parse. */
  readonly value: Value | undefined;
  readonly held: boolean;
  /** When it was last written; of a snapshot, the snapshot's. */
  readonly revision: Revision | undefined;
}

export interface StoreKeys {
  controller(): StoreKey<ControllerValue | ResignedValue>;
  append(): StoreKey<AppendValue>;
  candidate(key: string): StoreKey<CandidateIdentity>;
  /** The living ones, in the order of their ids. */
  candidates(): readonly CandidateIdentity[];
  /**
   * The highest controller epoch that any key ever said, 0 for an empty store. Undefined where there are keys that
   * should say one and none does.
   */
  highestEpoch(): ControllerEpoch | 0 | undefined;
  feed(feed: StoreFeed): void;
}

const absent = { bytes: undefined, value: undefined, held: false, revision: undefined } as const;

export function createStoreKeys(onEvent: EventSink): StoreKeys {
  let controller: StoreKey<ControllerValue | ResignedValue> = absent;
  let append: StoreKey<AppendValue> = absent;
  let epoch: StoreKey<ControllerEpoch> = absent;
  const candidates = new Map<string, StoreKey<CandidateIdentity>>();
  let highest: ControllerEpoch | undefined;

  const parsed = <Value>(key: string, value: Value | undefined): Value | undefined => {
    if (value === undefined) onEvent({ kind: "malformed", key, message: "the value does not parse" });
    return value;
  };

  const raise = (seen: ControllerEpoch | undefined) => {
    if (seen !== undefined && (highest === undefined || seen > highest)) highest = seen;
  };

  const put = (key: string, bytes: Uint8Array, at: { readonly held: boolean; readonly revision: Revision }) => {
    if (!isStoreKey(key)) {
      reportKey(key);
      return;
    }
    switch (parseKey(key)?.kind) {
      case "controller":
        controller = { bytes, value: parsed(key, decodeController(bytes)), ...at };
        raise(controller.value?.epoch);
        break;
      case "append":
        append = { bytes, value: parsed(key, decodeAppend(bytes)), ...at };
        raise(append.value?.epoch);
        break;
      case "controllerEpoch":
        epoch = { bytes, value: parsed(key, decodeControllerEpoch(bytes)), ...at };
        raise(epoch.value);
        break;
      case "candidate":
        candidates.set(key, { bytes, value: parsed(key, decodeCandidate(bytes)), ...at });
        break;
      default:
        onEvent({ kind: "malformed", key, message: "no key that the store keeps" });
    }
  };

  const reportKey = (key: string) => {
    const fault = faultOfKey(key);
    if (fault !== undefined) onEvent({ kind: "malformed", key, message: fault });
  };

  const remove = (key: string) => {
    if (key === controllerKey) controller = absent;
    else if (key === appendKey) append = absent;
    else if (key === controllerEpochKey) epoch = absent;
    else candidates.delete(key);
  };

  return {
    controller: () => controller,
    append: () => append,
    candidate: (key) => candidates.get(key) ?? absent,
    candidates: () =>
      [...candidates.values()]
        .flatMap(({ value, held }) => (held && value !== undefined ? [value] : []))
        .sort((left, right) => left.controllerId - right.controllerId),
    highestEpoch() {
      if (highest !== undefined) return highest;
      return epoch.bytes === undefined && append.bytes === undefined ? 0 : undefined;
    },
    feed(feed) {
      if (feed.kind === "snapshot") {
        controller = append = epoch = absent;
        candidates.clear();
        for (const [key, { value, held }] of feed.entries) put(key, value, { held, revision: feed.revision });
        return;
      }
      const { revision, changes } = feed.batch;
      for (const change of changes) {
        if (change.kind === "put") put(change.key, change.value, { held: change.ephemeral ?? false, revision });
        else remove(change.key);
      }
    },
  };
}
