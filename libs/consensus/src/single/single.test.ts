import { crc32c } from "@tidemark/compression";
import { createNodeRuntime } from "@tidemark/runtime";
import { describeConsensusContract } from "../contract/index.ts";
import { createSingleCluster } from "../testing.ts";

describeConsensusContract("single node", () => createSingleCluster(createNodeRuntime(), crc32c));
