import { crc32c } from "@tidemark/compression";
import { createMemoryDisk } from "@tidemark/disk";
import { createNodeRuntime } from "@tidemark/runtime";
import { describeConsensusContract } from "../contract/index.ts";
import { createInProcessCluster } from "../twin/in-process-cluster.ts";
import { openStoreOnDisk } from "./open.ts";

describeConsensusContract("single node", () => {
  const disk = createMemoryDisk();
  const runtime = createNodeRuntime();
  const onEvent = () => {};
  return createInProcessCluster({
    runtime,
    onEvent,
    openStore: () => openStoreOnDisk({ disk: disk.attach(), directory: "/data/metadata", crc32c, runtime, onEvent }),
    dropUnflushed: () => disk.powerCut(),
  });
});
