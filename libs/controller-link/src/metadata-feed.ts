import type { ControllerEpoch, Revision } from "@tidemark/ids";
import {
  applyChanges,
  changeFromWire,
  emptyImage,
  type MetadataChange,
  type MetadataDelta,
  type MetadataImage,
  replaceImage,
} from "@tidemark/metadata";
import {
  ClusterService,
  type ElectionContext,
  MetadataFrame,
  type WatchMetadataResponse,
} from "@tidemark/proto/cluster/v1";
import { Reason } from "@tidemark/proto/common/v1";
import { createRpcClient, TidemarkError } from "@tidemark/rpc";
import { abortWith, type Runtime } from "@tidemark/runtime";
import type { ActiveController } from "./active-controller.ts";

/** Where in the controllers' order of changes something stands: first by controller epoch, then by revision. */
export interface MetadataVersion {
  readonly controllerEpoch: ControllerEpoch;
  readonly revision: Revision;
}

/**
 * Whether metadata of `version` hold everything up to `place`. A later controller epoch holds all of the earlier ones,
 * whatever its revisions are: those of another store, to which a cluster was moved, may be far lower.
 */
export function reaches(version: MetadataVersion, place: MetadataVersion): boolean {
  if (version.controllerEpoch !== place.controllerEpoch) return version.controllerEpoch > place.controllerEpoch;
  return version.revision >= place.revision;
}

/** The metadata after a step, and what the step changed. */
export interface MetadataUpdate extends MetadataVersion {
  readonly image: MetadataImage;
  readonly delta: MetadataDelta;
  /** Where the spans of the elections in this step hang; after a snapshot of those that are being told. */
  readonly elections: readonly ElectionContext[];
}

export interface MetadataFeedOptions {
  readonly controller: ActiveController;
  readonly runtime: Runtime;
  /** Absent: a gateway or another onlooker. */
  readonly brokerId?: number;
  /** The highest controller epoch known before: metadata of an older one is not taken. 0: none. */
  readonly controllerEpochFloor: ControllerEpoch;
  /** Told of every step in order. Must not throw. */
  readonly onUpdate: (update: MetadataUpdate) => void;
  /** Told when the stream ended and will be opened again, with the reason in words. */
  readonly onInterrupted?: (why: string) => void;
}

/**
 * Follows the metadata: a snapshot, then every change in order, across controllers that come and go. What cannot be
 * continued begins again with a snapshot, which is handed out as the difference to what was known.
 */
export interface MetadataFeed {
  readonly image: MetadataImage;
  /** Undefined before the first snapshot. */
  readonly version: MetadataVersion | undefined;
  /** Milliseconds on the monotonic clock when something last came from a controller. Undefined: never. */
  readonly lastContactMs: number | undefined;
  /** Runs until `signal` is aborted, and lets the controllers tell of newer ones; then resolves. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

export function createMetadataFeed(options: MetadataFeedOptions): MetadataFeed {
  const { controller, runtime } = options;
  let image = emptyImage;
  let version: MetadataVersion | undefined;
  let lastContactMs: number | undefined;
  let epochFloor = options.controllerEpochFloor;

  const publish = (frame: WatchMetadataResponse, next: { image: MetadataImage; delta: MetadataDelta }) => {
    image = next.image;
    epochFloor = frame.controllerEpoch as ControllerEpoch;
    version = { controllerEpoch: epochFloor, revision: frame.revision as Revision };
    options.onUpdate({ ...next, ...version, elections: frame.elections });
  };

  /** One stream, until it ends. `onFrame`: it works. */
  const follow = async (signal: AbortSignal, onFrame: () => void): Promise<void> => {
    const client = createRpcClient(ClusterService, controller.channel("control"));
    const over = new AbortController();
    const unbind = abortWith(over, signal, controller.superseded);
    let snapshot: MetadataChange[] = [];
    const frames = client.watchMetadata(
      {
        controllerEpoch: epochFloor,
        ...(options.brokerId === undefined ? {} : { brokerId: options.brokerId }),
        ...(version === undefined ? {} : { afterRevision: version.revision }),
      },
      { signal: over.signal },
    );
    try {
      for await (const frame of frames) {
        // A controller that was deposed and does not know it yet.
        if (frame.controllerEpoch < epochFloor) throw staleController(frame.controllerEpoch, epochFloor);
        lastContactMs = runtime.clock.monotonicMs();
        onFrame();
        // What is known already: an answer that was on its way twice, or a follower that lags behind.
        if (isKnown(frame, version)) {
          if (frame.frame === MetadataFrame.DELTA) continue;
          throw olderSnapshot(frame.revision);
        }
        const changes = frame.changes.map(changeFromWire).filter((change) => change !== undefined);
        switch (frame.frame) {
          case MetadataFrame.SNAPSHOT_PART:
            snapshot.push(...changes);
            break;
          case MetadataFrame.SNAPSHOT_END:
            publish(frame, replaceImage(image, [...snapshot, ...changes]));
            snapshot = [];
            break;
          case MetadataFrame.DELTA:
            publish(frame, applyChanges(image, changes));
            break;
          case MetadataFrame.UNSPECIFIED:
            break;
        }
      }
    } finally {
      unbind();
    }
  };

  return {
    get image() {
      return image;
    },
    get version() {
      return version;
    },
    get lastContactMs() {
      return lastContactMs;
    },
    async run(signal) {
      const isOver = () => signal.aborted;
      const following = controller.follow(signal);
      for (let failures = 0; !isOver(); failures++) {
        const { endpoint } = controller;
        let why = "the controller ended the stream";
        try {
          await follow(signal, () => {
            failures = 0;
          });
        } catch (error) {
          if (error instanceof TidemarkError) controller.learnFrom(error, endpoint);
          why = error instanceof Error ? error.message : String(error);
        }
        if (isOver()) break;
        options.onInterrupted?.(why);
        await controller.pause(failures, signal).catch(() => undefined);
      }
      await following;
    },
  };
}

/** Within one controller epoch revisions only grow. A snapshot of the very revision that is known changes nothing. */
function isKnown(frame: WatchMetadataResponse, version: MetadataVersion | undefined): boolean {
  if (version === undefined || frame.controllerEpoch !== version.controllerEpoch) return false;
  return frame.frame === MetadataFrame.DELTA ? frame.revision <= version.revision : frame.revision < version.revision;
}

function olderSnapshot(revision: bigint): TidemarkError {
  return new TidemarkError({
    reason: Reason.NOT_CONTROLLER,
    message: `The controller is at revision ${revision}, which is older than what is known`,
  });
}

function staleController(theirs: number, ours: number): TidemarkError {
  return new TidemarkError({
    reason: Reason.NOT_CONTROLLER,
    message: `The controller is of controller epoch ${theirs}, and ${ours} is known`,
  });
}
