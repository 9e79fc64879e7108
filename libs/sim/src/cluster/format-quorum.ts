import { crc32c } from "@tidemark/compression";
import { formatAddress, formatDirectory, memberDirectory } from "@tidemark/consensus-raft";
import { controllerId, directoryId } from "@tidemark/ids";
import { type Random, randomUuid } from "@tidemark/runtime";
import type { SimNode } from "./node.ts";
import { metadataDirectory, ports } from "./roles.ts";

/** Makes the quorum of controllers that keep the metadata together, as it is made before their first start. */
export async function formatQuorum(controllers: readonly SimNode[], random: Random): Promise<void> {
  const members = controllers.map(({ device, identity }) => ({
    disk: device.memory,
    id: directoryId(randomUuid(random)),
    address: formatAddress({
      controllerId: controllerId(identity.id),
      endpoint: `${identity.hostName}:${ports.controller.internal}`,
    }),
  }));
  const clusterId = randomUuid(random);
  const voters = members.map(({ id, address }) => ({ id, address }));
  const directory = memberDirectory(metadataDirectory);
  for (const { disk, id } of members) {
    await formatDirectory({ disk, directory, crc32c, identity: { directoryId: id, clusterId }, voters });
  }
}
