import { createNodeDisk } from "@tidemark/disk";
import { createNodeRuntime } from "@tidemark/runtime";

const directory = process.argv[2];
if (directory === undefined) throw new Error("Name the directory");
await createNodeDisk({ runtime: createNodeRuntime() }).lock(directory);
process.stdout.write("held\n");
process.stdin.resume();
