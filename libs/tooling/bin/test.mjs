import { runUnderProjectNode } from "./ensure.mjs";

runUnderProjectNode("libs/tooling/src/test.ts", process.argv.slice(2));
