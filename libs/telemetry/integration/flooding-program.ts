import { createNodeRuntime } from "@tidemark/runtime";
import { createLogger } from "../src/index.ts";

const { clock } = createNodeRuntime();
const logger = createLogger({ clock, level: "info", service: "tidemark-broker", instanceId: "broker-1" });
const padding = "x".repeat(900);
for (let line = 0; line < 5000; line++) logger.info(padding, { line });
// A turn of the event loop passes although nobody reads the lines.
setTimeout(() => process.stdout.write("still serving\n"), 0);
setInterval(() => undefined, 1000);
