import { detached, MalformedBytesError } from "@tidemark/consensus/store";
import { DiskError } from "@tidemark/disk";
import type { Raft, SnapshotChunk, SnapshotChunkOrder, SnapshotMeta } from "@tidemark/raft";
import type { Crc32c } from "@tidemark/record";
import type { Clock } from "@tidemark/runtime";
import type { Replica } from "../replica/replica.ts";
import { checkedBody, encodeContent } from "../replica/snapshot-codec.ts";
import type { RaftStorage } from "../storage/storage.ts";
import type { Applier } from "./applier.ts";
import type { NodeEventSink } from "./events.ts";

/** When a node replaces its log by a snapshot. */
export interface SnapshotPolicy {
  /** The log has so many bytes beside those that are kept, and three times those of the last snapshot. */
  readonly logBytesMin: number;
  /** About so many bytes of entries stay in the log behind it, for members that are a little behind. */
  readonly keepBytes: number;
}

const MiB = 1024 * 1024;
export const defaultSnapshotPolicy: SnapshotPolicy = { logBytesMin: 16 * MiB, keepBytes: 4 * MiB };

export interface Snapshots {
  /** Makes one where it is worth its while. */
  consider(): void;
  /** Makes one now, and keeps `keepEntries` behind it. */
  make(keepEntries: number): Promise<void>;
  /** Reads the bytes of a piece and sends it. A snapshot that does not read back as it was written fails the node. */
  sendPiece(order: SnapshotChunkOrder): void;
  /** Waits for what is under way. */
  stop(): Promise<void>;
}

export interface SnapshotsOptions {
  readonly raft: Raft;
  readonly storage: RaftStorage;
  readonly replica: Replica;
  readonly applier: Applier;
  readonly crc32c: Crc32c;
  readonly clock: Clock;
  readonly policy: SnapshotPolicy;
  readonly onEvent: NodeEventSink;
  readonly send: (chunk: SnapshotChunk) => void;
  /** The protocol's state has changed. */
  readonly onChanged: () => void;
  /** A snapshot is on stable storage. */
  readonly onSaved: (meta: SnapshotMeta) => void;
  readonly onFailed: (error: DiskError | MalformedBytesError) => void;
}

export function createSnapshots(options: SnapshotsOptions): Snapshots {
  const { raft, storage, policy } = options;
  const running = new Set<Promise<void>>();
  let stopped = false;
  let making: Promise<void> | undefined;
  let lastBytes = 0;
  let lastIndex: number = 0;
  const entriesToKeep = () => Math.floor((policy.keepBytes * storage.logEntries()) / Math.max(1, storage.logBytes()));

  const start = (task: () => Promise<void>) => {
    const guarded = async () => {
      try {
        await task();
      } catch (error) {
        if (!(error instanceof DiskError || error instanceof MalformedBytesError)) throw error;
        if (!stopped) options.onFailed(error);
      }
    };
    const run = guarded().finally(() => running.delete(run));
    running.add(run);
    detached(run);
    return run;
  };
  const make = async (keepEntries: number) => {
    const meta = await saveSnapshot(options);
    if (meta === undefined || stopped) return;
    lastBytes = meta.sizeBytes;
    lastIndex = meta.index;
    raft.compact(meta, keepEntries);
    options.onChanged();
  };
  const begin = (keepEntries: number) => {
    making = start(() => make(keepEntries)).finally(() => {
      making = undefined;
    });
    return making;
  };

  return {
    consider() {
      const due = policy.keepBytes + Math.max(policy.logBytesMin, 3 * lastBytes);
      const isDue = storage.logBytes() >= due && options.applier.index() > lastIndex;
      if (isDue && making === undefined && !stopped) detached(begin(entriesToKeep()));
    },
    async make(keepEntries) {
      await making;
      await begin(keepEntries);
    },
    sendPiece(order) {
      if (!stopped) detached(start(() => sendPiece(options, order)));
    },
    async stop() {
      stopped = true;
      await Promise.all(running);
    },
  };
}

/** Undefined where nothing was applied yet, or a snapshot of the leader's is about to replace what was. */
async function saveSnapshot(options: SnapshotsOptions): Promise<SnapshotMeta | undefined> {
  const { raft, storage, replica, applier, crc32c, clock, onEvent } = options;
  const index = applier.index();
  if (index === 0 || raft.status().snapshot.index > index) return undefined;
  const startedMs = clock.monotonicMs();
  const state = encodeContent(replica.content(), crc32c);
  const meta: SnapshotMeta = { ...raft.snapshotAt(index), sizeBytes: state.length };
  await storage.saveSnapshot({ meta, state });
  options.onSaved(meta);
  onEvent({ kind: "snapshotSaved", index, bytes: state.length, ms: clock.monotonicMs() - startedMs });
  return meta;
}

async function sendPiece(
  { raft, storage, crc32c, send, onChanged }: SnapshotsOptions,
  order: SnapshotChunkOrder,
): Promise<void> {
  const { snapshot, offset } = order.header;
  if (offset === 0) {
    // Whoever took a damaged one would have it in the place of a sound log.
    const whole = await storage.readSnapshot(snapshot, { offset, length: snapshot.sizeBytes });
    if (whole !== undefined) checkedBody(whole, crc32c);
  }
  const data = await storage.readSnapshot(snapshot, { offset, length: order.lengthBytes });
  if (data === undefined) {
    raft.snapshotGone(snapshot.index);
    onChanged();
    return;
  }
  send({ ...order.header, data });
}
