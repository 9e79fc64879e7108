/** Loaded before a service's program: puts telemetry that can be told what to do in the place of the suite's. */
import { registerHooks } from "node:module";

const switched = new URL("./switched-telemetry.ts", import.meta.url).href;

registerHooks({
  resolve(specifier, context, next) {
    const isTelemetry = specifier === "./telemetry.ts" && context.parentURL?.endsWith("/telemetry/src/index.ts");
    return isTelemetry === true ? { url: switched, shortCircuit: true } : next(specifier, context);
  },
});
