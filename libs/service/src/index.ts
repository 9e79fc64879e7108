export { advertisedEndpoint, type ListenerServices, listenersOf, peerTls, readClientTls } from "./listeners.ts";
export { queuedBytesBudget } from "./queued-bytes.ts";
export { createReadiness } from "./readiness.ts";
export { StartRefusedError } from "./refused.ts";
export {
  processWorld,
  type RunningService,
  runService,
  type ServiceProgram,
  type ServiceStart,
  serverHooks,
} from "./run-service.ts";
export type { ServiceWorld } from "./service-world.ts";
