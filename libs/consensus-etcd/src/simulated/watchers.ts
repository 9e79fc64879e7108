/**
 * The watches of a simulated etcd. A watch that begins in the past is given the history in parts, and each part's header
 * says the store's revision, which is ahead of its events; from then on it is given each revision as it is committed.
 */
import type { Cancel, Scheduler } from "@tidemark/runtime";
import type { EtcdChange, EtcdKey, WatchRequest, WatchResponse } from "../stubs.ts";
import type { Mvcc, StoreRevision } from "./mvcc.ts";

export interface WatchShape {
  /** Revisions of one part of the history. */
  readonly partRevisions: number;
  /** From how many bytes on a response is split. */
  readonly fragmentBytes: number;
  /** Between two parts of the history. */
  readonly partDelayMs: number;
}

export interface SimulatedWatch {
  /** The store has a new revision, or anything else may have happened. */
  advance(): void;
  requestProgress(): void;
  stop(): void;
}

export function createWatch(options: {
  readonly request: WatchRequest;
  readonly mvcc: Mvcc;
  /** The last revision that the member has learned. */
  readonly applied: () => bigint;
  readonly shape: WatchShape;
  readonly scheduler: Scheduler;
  readonly send: (response: WatchResponse) => void;
}): SimulatedWatch {
  const { request, mvcc, applied, shape, scheduler, send } = options;
  let next = request.startRevision;
  let isOver = false;
  let cancel: Cancel | undefined;
  const header = () => ({ revision: applied(), created: false, fragment: false, events: [] });

  /** Sends one part. True where more of the history is left. */
  const sendPart = (): boolean => {
    if (next < mvcc.compacted()) {
      isOver = true;
      const canceled = { reason: "", compactRevision: mvcc.compacted() };
      send({ ...header(), revision: 0n, canceled });
      return false;
    }
    const missed = mvcc.since(next).filter(({ revision }) => revision <= applied());
    const part = missed.slice(0, shape.partRevisions);
    const last = part.at(-1);
    if (last === undefined) return false;
    next = last.revision + 1n;
    const events = part.flatMap(({ changes }: StoreRevision) => changes.filter(({ key }) => isWatched(key, request)));
    sendInFragments(events, { ...header(), fragmentBytes: shape.fragmentBytes, send });
    return missed.length > part.length;
  };

  const advance = () => {
    if (isOver || cancel !== undefined || !sendPart()) return;
    cancel = scheduler.after(shape.partDelayMs, () => {
      cancel = undefined;
      advance();
    });
  };

  send({ ...header(), created: true });
  return {
    advance,
    requestProgress() {
      // A watch that begins in the future is given none.
      if (!isOver && cancel === undefined && applied() >= request.startRevision) send(header());
    },
    stop() {
      isOver = true;
      cancel?.();
    },
  };
}

export function isWatched(key: EtcdKey, request: WatchRequest): boolean {
  return request.rangeEnd === undefined ? key === request.key : key >= request.key && key < request.rangeEnd;
}

/** Splits wherever the bytes want it, within a revision too: all but the last part say that a fragment follows. */
function sendInFragments(
  events: readonly EtcdChange[],
  {
    revision,
    fragmentBytes,
    send,
  }: { readonly revision: bigint; readonly fragmentBytes: number; readonly send: (response: WatchResponse) => void },
): void {
  if (events.length === 0) return;
  let part: EtcdChange[] = [];
  let bytes = 0;
  for (const event of events) {
    const size = event.key.length + (event.kind === "put" ? event.value.length : 0);
    if (part.length > 0 && bytes + size > fragmentBytes) {
      send({ revision, created: false, fragment: true, events: part });
      part = [];
      bytes = 0;
    }
    part.push(event);
    bytes += size;
  }
  send({ revision, created: false, fragment: false, events: part });
}
