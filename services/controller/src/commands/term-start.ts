/**
 * What a controller does first as the active one, before anything else is decided:
 *
 * 1. It checks that the store belongs to its cluster, and sets the cluster up where the store is empty.
 * 2. It grants every session a full timeout.
 * 3. It walks all partitions for leaders that are gone, settles what was left half changed and sweeps what was left half
 *    made: its predecessor may have died between any two batches.
 */
import type { ControllerEpoch } from "@tidemark/ids";
import {
  createCluster,
  type Decision,
  formatVersion,
  type MetadataImage,
  repairMinIsr,
  repairPartitions,
  sweepOrphans,
} from "@tidemark/metadata";
import { StartRefusedError } from "@tidemark/service";
import { type ControllerCore, electionContext } from "../core.ts";

/** Which cluster this controller belongs to, as far as it is known before the store is read. */
export interface ClusterIdentity {
  /** Of the settings. */
  readonly configured: string | undefined;
  /** Of the controller's directory. Undefined where it never belonged to one. */
  readonly known: string | undefined;
  /** The backend that kept the metadata when this controller last ran, where that is another one. */
  readonly movedFrom?: string;
}

/**
 * Checks an image against the cluster that is expected. `isWhole`: the image holds everything committed, so that a
 * cluster that it lacks is missing. Throws StartRefusedError.
 */
export function checkCluster(image: MetadataImage, identity: ClusterIdentity & { readonly isWhole?: boolean }): void {
  const { cluster } = image;
  if (cluster === undefined) {
    if (identity.known === undefined || !identity.isWhole) return;
    const { movedFrom } = identity;
    const wayOut =
      movedFrom === undefined
        ? ""
        : `. They were kept by ${movedFrom}: set consensus.backend to it, or move them with \`tidemark metadata export FILE --seal\` there and \`tidemark metadata import FILE\` here (\`tidemark format --import FILE\` for raft)`;
    throw new StartRefusedError(
      `This directory belongs to the cluster ${identity.known}, and the store holds no cluster: its metadata are missing${wayOut}`,
    );
  }
  const expected = identity.known ?? identity.configured;
  if (expected !== undefined && expected !== cluster.clusterId) {
    const where = identity.known === undefined ? "cluster.id" : "The directory of this controller";
    const other = identity.known === undefined ? "cluster.id" : "metadata.log.dir";
    throw new StartRefusedError(
      `${where} says cluster ${expected}, and the store belongs to ${cluster.clusterId}: correct consensus.backend, its prefix included, or ${other}`,
    );
  }
  if (cluster.formatVersion > formatVersion) {
    throw new StartRefusedError(
      `The store has the format version ${cluster.formatVersion}, and this version of Tidemark knows ${formatVersion} at most`,
    );
  }
}

/**
 * Sets the cluster up where the store is empty, walks all partitions and sweeps. Each part leaves what is in order as
 * it is, so that it may be repeated. Rejects with the TidemarkError of the part that failed.
 */
export async function repair(
  core: Pick<ControllerCore, "queue" | "settings" | "runtime" | "guards">,
  epoch: ControllerEpoch,
  clusterId: string,
): Promise<void> {
  const own = (name: string, decide: (image: MetadataImage) => Decision<unknown>, isFounding = false) =>
    core.queue.submitOwn({ name, decide, isFounding });
  // Queued at once: nothing that others ask for is decided before all of these.
  await Promise.all([
    own("create cluster", (image) => createCluster(image, { clusterId }), true),
    own("repair partitions", (image) => repairPartitions(image, electionContext(core, epoch))),
    own("repair min ISR", (image) => repairMinIsr(image, core.settings, epoch)),
    own("sweep orphans", sweepOrphans),
  ]);
}
