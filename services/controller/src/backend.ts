import type { Consensus } from "@tidemark/consensus";
import type { Disk } from "@tidemark/disk";
import type { Runtime } from "@tidemark/runtime";

/** A backend of the consensus interface, opened. */
export interface Backend {
  /** To be shown to people. */
  readonly name: string;
  /** This process's handle. Whoever has it closes it. */
  readonly consensus: Consensus;
  /** Frees what the backend holds, after the handle was closed. */
  close(): Promise<void>;
}

/** Opens the backend that the settings choose. Only the composition root names one. */
export type OpenBackend = (of: {
  readonly disk: Disk;
  /** The controller's directory; a backend keeps its own under it. Absolute. */
  readonly directory: string;
  readonly runtime: Runtime;
}) => Promise<Backend>;
