import type { Disk } from "@tidemark/disk";
import type { Transport } from "@tidemark/rpc";
import type { Runtime } from "@tidemark/runtime";
import type { Telemetry } from "@tidemark/telemetry";

/**
 * All that a service has of the world besides its settings: a process gives it the real one, a simulation its own, and
 * the service is the same.
 */
export interface ServiceWorld {
  readonly runtime: Runtime;
  /** A disk with threads of its own. `hangMs`: what takes longer fails with HUNG; absent: after 10 s. */
  readonly openDisk: (options?: { readonly hangMs?: number }) => Disk;
  readonly transport: Transport;
  readonly telemetry: Telemetry;
  /** The service cannot go on: its process is to end. */
  readonly onFatal: (error: Error) => void;
}
