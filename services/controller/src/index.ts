export type { Backend, OpenBackend } from "./backend.ts";
export type { ClusterIdentity } from "./commands/term-start.ts";
export { type Controller, type ControllerOptions, createController, servicesOf } from "./controller.ts";
export { type EtcdReach, openEtcdBackend } from "./etcd-backend.ts";
export type { ControllerEvent } from "./events/controller-events.ts";
export { openRaftBackend, type RaftExperiment, raftDirectoryId } from "./raft-backend.ts";
export type { ControllerSettings } from "./settings.ts";
export { settingsFromConfig } from "./settings-from-config.ts";
export { type ControllerStartOptions, startController } from "./start-controller.ts";
