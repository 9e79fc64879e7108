import { createNodeRuntime } from "@tidemark/runtime";
import { describeConsensusContract } from "../contract/index.ts";
import { createConsensusTwin } from "./twin.ts";

describeConsensusContract("in-memory twin", () => createConsensusTwin({ runtime: createNodeRuntime() }));
