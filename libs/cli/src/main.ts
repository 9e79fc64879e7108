/** The program `tidemark`. What it is made of is imported once the cache for that is on. */
import { enableCompileCache } from "node:module";
import { compileCacheFolder } from "./compile-cache.ts";

enableCompileCache(compileCacheFolder);
const { runMain } = await import("./run-main.ts");
await runMain();
