export type { Clock } from "./clock.ts";
export { createDeferred, type Deferred } from "./deferred.ts";
export { createManualTime, type ManualTime } from "./manual-time.ts";
export { readBootId } from "./node/boot-id.ts";
export { createNodeRuntime } from "./node/node-runtime.ts";
export { below, pick, type Random, randomUuid } from "./random.ts";
export type { Runtime } from "./runtime.ts";
export { type Cancel, delay, type Scheduler } from "./scheduler.ts";
export { createSeededRandom } from "./seeded-random.ts";
