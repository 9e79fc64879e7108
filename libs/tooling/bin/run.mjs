import { runUnderProjectNode } from "./ensure.mjs";

runUnderProjectNode(process.argv[2], process.argv.slice(3));
