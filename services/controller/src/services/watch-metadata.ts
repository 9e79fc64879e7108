/**
 * Handing the metadata to brokers and gateways: a snapshot, then every committed batch in order, tagged with the epoch
 * of the controller that answers. A watcher goes on after the revision that it names where this controller has every
 * batch since in memory and the controller epoch is the same; otherwise it begins with a snapshot.
 *
 * A watcher costs a revision and no queue. One that reads slowly finds its place gone, and gets a fresh snapshot.
 */
import { type Message, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type BrokerId, type Revision, revision } from "@tidemark/ids";
import { changeToWire, imageToChanges, type MetadataChange, type MetadataImage } from "@tidemark/metadata";
import {
  type ElectionContextSchema,
  MetadataFrame,
  type WatchMetadataRequest,
  type WatchMetadataResponseSchema,
} from "@tidemark/proto/cluster/v1";
import { MetadataChangeSchema, type MetadataChange as WireChange } from "@tidemark/proto/metadata/v1";
import { abortWith } from "@tidemark/runtime";
import type { ActiveTerm } from "../commands/role.ts";
import type { MetadataFollower } from "../state/metadata-follower.ts";
import type { ElectionTraces } from "../tracing/election-tracer.ts";
import { reasonOf } from "./signals.ts";

type Frame = Exclude<MessageInitShape<typeof WatchMetadataResponseSchema>, Message>;

/** A part of a snapshot is about this large, far under any limit of a message. */
const partBytes = 256 * 1024;

interface Source {
  readonly follower: MetadataFollower;
  readonly traces: ElectionTraces;
  /** Undefined: no broker. */
  readonly watcher: BrokerId | undefined;
  readonly term: ActiveTerm;
  readonly signal: AbortSignal;
  /** The watcher took everything up to a revision. */
  readonly onPublished: (revision: Revision) => void;
}

export async function* watchMetadata(
  request: Pick<WatchMetadataRequest, "controllerEpoch" | "afterRevision">,
  source: Source,
): AsyncGenerator<Frame> {
  const { follower, term } = source;
  const either = new AbortController();
  const unbind = abortWith(either, source.signal, term.signal);
  const { signal } = either;
  try {
    let at = firstPlace(request, source);
    for (;;) {
      if (signal.aborted) throw reasonOf(signal);
      const batches = at === undefined ? undefined : follower.history.after(at);
      if (batches === undefined || at === undefined) {
        const { image, revision: at0 } = follower;
        at = at0;
        yield* snapshotFrames(image, at0, source);
        source.onPublished(at0);
        continue;
      }
      for (const { revision: at1, changes } of batches) {
        at = at1;
        yield {
          ...frame(term, at1, MetadataFrame.DELTA, changes.map(changeToWire)),
          elections: contextsOf(changes, source),
        };
      }
      if (batches.length > 0) source.onPublished(at);
      if (batches.length === 0) await follower.reached(revision(follower.revision + 1n), signal);
    }
  } finally {
    unbind();
  }
}

/** Where the spans hang of the elections among some changes that the watcher leads by: nobody else has something to do about them. */
function contextsOf(
  changes: readonly MetadataChange[],
  { traces, watcher }: Pick<Source, "traces" | "watcher">,
): MessageInitShape<typeof ElectionContextSchema>[] {
  return changes.flatMap((change) => {
    if (change.kind !== "partition" || change.value === undefined) return [];
    const { topicId, partition, leaderEpoch, leader } = change.value;
    if (leader === undefined || leader !== watcher) return [];
    const traceparent = traces.traceparentOf(change.value);
    return traceparent === undefined ? [] : [{ topicId, partition, leaderEpoch, traceparent }];
  });
}

/** Where the caller goes on. Undefined: with a snapshot. */
function firstPlace(
  request: Pick<WatchMetadataRequest, "controllerEpoch" | "afterRevision">,
  { follower, term }: { readonly follower: MetadataFollower; readonly term: ActiveTerm },
): Revision | undefined {
  const { controllerEpoch, afterRevision } = request;
  if (afterRevision === undefined || controllerEpoch !== term.epoch) return undefined;
  // What lies ahead of this image cannot come from this epoch.
  return afterRevision < 0n || afterRevision > follower.revision ? undefined : revision(afterRevision);
}

/** With its last part it says where the spans hang of elections that are being told: whoever begins now learns of them by it. */
function* snapshotFrames(
  image: MetadataImage,
  at: Revision,
  source: Pick<Source, "traces" | "watcher" | "term">,
): Generator<Frame> {
  const { term } = source;
  const elections: MessageInitShape<typeof ElectionContextSchema>[] = [];
  let part: WireChange[] = [];
  let bytes = 0;
  for (const change of imageToChanges(image)) {
    elections.push(...contextsOf([change], source));
    const message = changeToWire(change);
    part.push(message);
    bytes += toBinary(MetadataChangeSchema, message).length;
    if (bytes < partBytes) continue;
    yield frame(term, at, MetadataFrame.SNAPSHOT_PART, part);
    part = [];
    bytes = 0;
  }
  yield { ...frame(term, at, MetadataFrame.SNAPSHOT_END, part), elections };
}

function frame(term: ActiveTerm, at: Revision, kind: MetadataFrame, changes: WireChange[]): Frame {
  return { controllerEpoch: term.epoch, revision: at, frame: kind, changes };
}
