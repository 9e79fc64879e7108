import { crc32c } from "@tidemark/compression";
import { formatAddress, formatDirectory, memberDirectory } from "@tidemark/consensus-raft";
import { controllerId, type DirectoryId, directoryId } from "@tidemark/ids";
import { type Random, randomUuid } from "@tidemark/runtime";
import type { SimNode } from "../cluster/node.ts";
import { metadataDirectory, ports } from "../cluster/roles.ts";

/**
 * Makes the quorum of controllers that keep the metadata together, as it is made before their first start. The others
 * are members to be: they run with empty directories, and somebody may add them.
 */
export async function formatQuorum(voting: readonly SimNode[], random: Random): Promise<void> {
  const members = voting.map((node) => ({
    disk: node.device.memory,
    id: directoryId(randomUuid(random)),
    address: formatAddress({ controllerId: controllerId(node.identity.id), endpoint: endpointOf(node) }),
  }));
  const clusterId = randomUuid(random);
  const voters = members.map(({ id, address }) => ({ id, address }));
  const directory = memberDirectory(metadataDirectory);
  for (const { disk, id } of members) {
    await formatDirectory({ disk, directory, crc32c, identity: { directoryId: id, clusterId }, voters });
  }
}

/** Where the other controllers reach this one. */
export function endpointOf({ identity }: SimNode): string {
  return `${identity.hostName}:${ports.controller.internal}`;
}

/** What the directory is known as that this machine has now. Undefined: it has none yet. */
export function directoryOf({ device }: SimNode): DirectoryId | undefined {
  const bytes = device.memory.peek(`${metadataDirectory}/meta.properties`);
  const found = /^directory\.id=(.*)$/m.exec(new TextDecoder().decode(bytes ?? new Uint8Array(0)))?.[1];
  return found === undefined ? undefined : directoryId(found);
}
