/** Loaded before a service's program: puts telemetry that does nothing in the place of the suite's. */
import { registerHooks } from "node:module";

const bare = new URL("./bare-telemetry.ts", import.meta.url).href;

registerHooks({
  resolve(specifier, context, next) {
    const isTelemetry = specifier === "./telemetry.ts" && context.parentURL?.endsWith("/telemetry/src/index.ts");
    return isTelemetry === true ? { url: bare, shortCircuit: true } : next(specifier, context);
  },
});
