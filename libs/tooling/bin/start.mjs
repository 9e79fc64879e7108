import { runUnderProjectNode } from "./ensure.mjs";

runUnderProjectNode("libs/cli/src/main.ts", ["dev", ...process.argv.slice(2)]);
