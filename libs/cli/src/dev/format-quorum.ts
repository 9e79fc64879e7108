import { crc32c } from "@tidemark/compression";
import { formatAddress, formatDirectory, memberDirectory, readIdentity } from "@tidemark/consensus-raft";
import { createNodeDisk } from "@tidemark/disk";
import { controllerId, directoryId } from "@tidemark/ids";
import { createNodeRuntime, randomUuid } from "@tidemark/runtime";
import { readClusterFile } from "./cluster-file.ts";
import type { ProcessSpec } from "./layout.ts";
import { endpoint, metadataDirectory } from "./process-config.ts";

/**
 * Makes the controllers' quorum where no controller has a member's directory yet. Later nothing is made: a controller
 * that lost its directory has lost its vote with it, and is added anew. Why it is not made, as a sentence: the cluster
 * has its metadata elsewhere.
 */
export async function formatNewQuorum(specs: readonly ProcessSpec[], data: string): Promise<string | undefined> {
  const runtime = createNodeRuntime();
  const disk = createNodeDisk({ runtime });
  const members = specs
    .filter(({ role }) => role === "controller")
    .map((spec) => ({
      directory: memberDirectory(metadataDirectory(spec, data)),
      id: directoryId(randomUuid(runtime.random)),
      address: formatAddress({ controllerId: controllerId(spec.id), endpoint: endpoint(spec, "internal") }),
    }));
  const known = await Promise.all(members.map(({ directory }) => readIdentity(disk, directory)));
  if (known.some((identity) => identity !== undefined)) return undefined;
  const keptBy = readClusterFile(data)?.backend ?? "raft";
  if (keptBy !== "raft") {
    return `The metadata of this cluster are kept by ${keptBy}: start it with --backend ${keptBy}, then \`tidemark dev switch --backend raft --data ${data}\` moves them.`;
  }
  const clusterId = randomUuid(runtime.random);
  const voters = members.map(({ id, address }) => ({ id, address }));
  for (const { directory, id } of members) {
    await formatDirectory({ disk, directory, crc32c, identity: { directoryId: id, clusterId }, voters });
  }
  return undefined;
}
