import { createNodeRuntime } from "@tidemark/runtime";
import { createLogger } from "../src/index.ts";

const { clock } = createNodeRuntime();
const logger = createLogger({ clock, level: "info", service: "tidemark-broker", instanceId: "broker-1" });
for (let line = 0; line < 1000; line++) logger.info("before the crash", { line });
if (process.argv[2] === "throw") throw new Error("nobody catches this");
process.exit(3);
