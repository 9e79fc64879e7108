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
  /** All that lived since this candidate looks on, likewise. Of one id the latest. */
  known(): readonly CandidateIdentity[];
  /**
   * The highest controller epoch that any key ever said, 0 for an empty store. Undefined where there are keys that
   * should say one and none does.
   */
  highestEpoch(): ControllerEpoch | 0 | undefined;
  feed(feed: StoreFeed): void;
}

interface KeysState {
  readonly onEvent: EventSink;
  controller: StoreKey<ControllerValue | ResignedValue>;
  append: StoreKey<AppendValue>;
  epoch: StoreKey<ControllerEpoch>;
  readonly candidates: Map<string, StoreKey<CandidateIdentity>>;
  readonly known: Map<number, CandidateIdentity>;
  /** Of any key, ever. */
  highest: ControllerEpoch | undefined;
}

const absent = { bytes: undefined, value: undefined, held: false, revision: undefined } as const;

export function createStoreKeys(onEvent: EventSink): StoreKeys {
  const state: KeysState = {
    onEvent,
    controller: absent,
    append: absent,
    epoch: absent,
    candidates: new Map(),
    known: new Map(),
    highest: undefined,
  };
  return {
    controller: () => state.controller,
    append: () => state.append,
    candidate: (key) => state.candidates.get(key) ?? absent,
    candidates: () =>
      [...state.candidates.values()]
        .flatMap(({ value, held }) => (held && value !== undefined ? [value] : []))
        .sort((left, right) => left.controllerId - right.controllerId),
    known: () => [...state.known.values()].sort((left, right) => left.controllerId - right.controllerId),
    highestEpoch() {
      if (state.highest !== undefined) return state.highest;
      return state.epoch.bytes === undefined && state.append.bytes === undefined ? 0 : undefined;
    },
    feed(feed) {
      if (feed.kind === "snapshot") {
        state.controller = state.append = state.epoch = absent;
        state.candidates.clear();
        for (const [key, { value, held }] of feed.entries) put(state, key, value, { held, revision: feed.revision });
        return;
      }
      const { revision, changes } = feed.batch;
      for (const change of changes) {
        if (change.kind === "delete") remove(state, change.key);
        else put(state, change.key, change.value, { held: change.ephemeral ?? false, revision });
      }
    },
  };
}

function put(
  state: KeysState,
  key: string,
  bytes: Uint8Array,
  at: { readonly held: boolean; readonly revision: Revision },
): void {
  if (!isStoreKey(key)) {
    const fault = faultOfKey(key);
    if (fault !== undefined) state.onEvent({ kind: "malformed", key, message: fault });
    return;
  }
  switch (parseKey(key)?.kind) {
    case "controller":
      state.controller = { bytes, value: reported(state, key, decodeController(bytes)), ...at };
      raise(state, state.controller.value?.epoch);
      break;
    case "append":
      state.append = { bytes, value: reported(state, key, decodeAppend(bytes)), ...at };
      raise(state, state.append.value?.epoch);
      break;
    case "controllerEpoch":
      state.epoch = { bytes, value: reported(state, key, decodeControllerEpoch(bytes)), ...at };
      raise(state, state.epoch.value);
      break;
    case "candidate": {
      const value = reported(state, key, decodeCandidate(bytes));
      state.candidates.set(key, { bytes, value, ...at });
      if (value !== undefined && at.held) state.known.set(value.controllerId, value);
      break;
    }
    default:
      state.onEvent({ kind: "malformed", key, message: "no key that the store keeps" });
  }
}

function remove(state: KeysState, key: string): void {
  if (key === controllerKey) state.controller = absent;
  else if (key === appendKey) state.append = absent;
  else if (key === controllerEpochKey) state.epoch = absent;
  else state.candidates.delete(key);
}

function reported<Value>({ onEvent }: KeysState, key: string, value: Value | undefined): Value | undefined {
  if (value === undefined) onEvent({ kind: "malformed", key, message: "the value does not parse" });
  return value;
}

function raise(state: KeysState, seen: ControllerEpoch | undefined): void {
  if (seen !== undefined && (state.highest === undefined || seen > state.highest)) state.highest = seen;
}
