import { Reason } from "@tidemark/proto/common/v1";
import { type Decision, decided, refused } from "./decision.ts";
import type { MetadataImage } from "./image.ts";
import type { Cluster } from "./model.ts";

/** The layout of keys and values that this version writes, and the newest that it reads. */
export const formatVersion = 1;
const featureLevel = 1;

/** Sets up the cluster in an empty store; where one is set up already, the answer is that one. */
export function createCluster(image: MetadataImage, command: { readonly clusterId: string }): Decision<Cluster> {
  if (image.cluster !== undefined) return decided(image.cluster);
  if (image.malformed.has("/cluster") || image.topics.size > 0 || image.knownBrokers.size > 0) {
    const text = "The store holds metadata and no cluster that can be read: an import did not end, or it is damaged";
    return refused(Reason.INTERNAL, text);
  }
  const cluster: Cluster = { clusterId: command.clusterId, formatVersion, featureLevel, sealed: false };
  return decided(cluster, [{ kind: "cluster", value: cluster }], [{ kind: "clusterCreated", ...command }]);
}
