/** A service that does nothing but collect its heap, twice and far apart, and then stops: for a test of that heap. */
import process from "node:process";
import { gatewaySchema } from "@tidemark/config";
import { runService } from "../run-service.ts";

const quietMs = 300;

await runService({
  role: "gateway",
  schema: gatewaySchema,
  async start({ runtime }) {
    for (let collection = 0; collection < 2; collection++) {
      globalThis.gc?.();
      // V8 goes by how fast the program allocates: a quiet one is given little.
      await new Promise<void>((resolve) => runtime.scheduler.after(quietMs, resolve));
    }
    runtime.scheduler.after(0, () => process.kill(process.pid, "SIGTERM"));
    return { endpoints: {}, isReady: () => true, stop: () => Promise.resolve() };
  },
});
