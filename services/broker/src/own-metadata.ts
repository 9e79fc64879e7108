/** The metadata as a broker follows them, and how far it has applied them. */
import {
  type ActiveController,
  createMetadataFeed,
  type MetadataUpdate,
  type MetadataVersion,
  reaches,
} from "@tidemark/controller-link";
import type { BrokerId, ControllerEpoch, Revision } from "@tidemark/ids";
import type { MetadataImage } from "@tidemark/metadata";
import { createDeferred, type Runtime } from "@tidemark/runtime";
import { StartRefusedError } from "@tidemark/service";
import type { Logger } from "@tidemark/telemetry";
import type { TableUpdate } from "./table/table-state.ts";

export interface OwnMetadata {
  readonly image: MetadataImage;
  /** Where the metadata stand that came last. */
  known(): TableUpdate;
  /** All up to this revision is applied, in the controller epoch that was followed last. */
  readonly appliedRevision: Revision;
  /** When the controller was last heard, on the monotonic clock; at the start where it never was. */
  heardMs(): number;
  /** Something came from the active controller, beside the metadata. */
  noteHeard(): void;
  /** The broker acts only on metadata from there on: `caughtUp` resolves when it has. */
  awaitVersion(version: MetadataVersion): void;
  /** Applies what is known once more. */
  applyAgain(): void;
  readonly caughtUp: Promise<void>;
  /** Resolves when the cluster is known. Throws StartRefusedError where it is another one. */
  clusterId(): Promise<string>;
  /** Runs until `signal` is aborted. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

export interface OwnMetadataOptions {
  readonly brokerId: BrokerId;
  /** Undefined: whichever cluster the controller belongs to. */
  readonly clusterId: string | undefined;
  readonly controller: ActiveController;
  readonly runtime: Runtime;
  readonly logger: Logger;
  /** Takes a step of the metadata. Resolves when it is applied. Undefined: nobody can yet. */
  readonly apply: (update: TableUpdate & Partial<MetadataUpdate>) => Promise<void> | undefined;
  readonly onFatal: (error: Error) => void;
}

export function createOwnMetadata(options: OwnMetadataOptions): OwnMetadata {
  const { controller, runtime, logger, apply, onFatal } = options;
  const caughtUp = createDeferred();
  const clusterKnown = createDeferred<string>();
  let awaited: MetadataVersion | undefined;
  let applied: MetadataVersion = { controllerEpoch: 0 as ControllerEpoch, revision: 0n as Revision };
  let heardMs = runtime.clock.monotonicMs();

  const noteProgress = () => {
    if (awaited !== undefined && reaches(applied, awaited)) caughtUp.resolve();
  };
  const take = (update: TableUpdate & Partial<MetadataUpdate>) => {
    apply(update)?.then(() => {
      const { controllerEpoch, revision } = update;
      if (reaches(update, applied)) applied = { controllerEpoch, revision };
      noteProgress();
    }, onFatal);
  };
  const feed = createMetadataFeed({
    controller,
    runtime,
    brokerId: options.brokerId,
    controllerEpochFloor: 0 as ControllerEpoch,
    onUpdate: (update) => {
      const { cluster } = update.image;
      // A controller is active a moment before it has made its cluster.
      if (cluster !== undefined) clusterKnown.resolve(cluster.clusterId);
      take(update);
    },
    onInterrupted: (why) => logger.debug("The metadata stream ended; opening it again", { why }),
  });
  const known = (): TableUpdate => ({
    image: feed.image,
    revision: feed.version?.revision ?? (0n as Revision),
    controllerEpoch: feed.version?.controllerEpoch ?? (0 as ControllerEpoch),
  });

  return {
    get image() {
      return feed.image;
    },
    get appliedRevision() {
      return applied.revision;
    },
    known,
    heardMs: () => Math.max(heardMs, feed.lastContactMs ?? heardMs),
    noteHeard() {
      heardMs = runtime.clock.monotonicMs();
    },
    awaitVersion(version) {
      awaited = version;
      noteProgress();
    },
    applyAgain: () => {
      take(known());
    },
    caughtUp: caughtUp.promise,
    async clusterId() {
      const found = await clusterKnown.promise;
      if (options.clusterId !== undefined && options.clusterId !== found) {
        throw new StartRefusedError(
          `cluster.id is ${options.clusterId}, and the controller at ${controller.endpoint} is of cluster ${found}`,
        );
      }
      return found;
    },
    run: (signal) => feed.run(signal),
  };
}
