/** For the tests of other packages: three candidates of the single-node store. */
import { createMemoryDisk } from "@tidemark/disk";
import type { Crc32c } from "@tidemark/record";
import type { Runtime } from "@tidemark/runtime";
import type { ConsensusCluster } from "./contract/cluster.ts";
import { openStoreOnDisk } from "./single/open.ts";
import { createInProcessCluster } from "./twin/in-process-cluster.ts";

/** Three handles of one store in one process, on a disk in memory. */
export function createSingleCluster(runtime: Runtime, crc32c: Crc32c): Promise<ConsensusCluster> {
  const disk = createMemoryDisk();
  const onEvent = () => {};
  return createInProcessCluster({
    runtime,
    onEvent,
    openStore: () => openStoreOnDisk({ disk: disk.attach(), directory: "/data/metadata", crc32c, runtime, onEvent }),
    dropUnflushed: () => disk.powerCut(),
  });
}
