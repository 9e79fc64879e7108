import type { Engine } from "../engine/engine.ts";
import type { SimProcess } from "../engine/sim-process.ts";
import type { Connection } from "./connection.ts";
import type { Links } from "./links.ts";
import type { NetworkWatch } from "./network-watch.ts";

/** A machine on the network. One process runs on it at a time. */
export interface Host {
  /** What endpoints call it. */
  readonly name: string;
  /** Small and unlike that of any other host: for the hash of a run. */
  readonly number: number;
  /** Without power it answers nothing; with power and no process it refuses. */
  isPowered: boolean;
  /** What listens, by port. */
  readonly listeners: Map<number, Accept>;
  /** Connections of the processes that ran here and that the machine still knows. */
  readonly connections: Set<Connection>;
}

/** Takes a connection that a peer has made. Runs in the listening process. */
export interface Accept {
  readonly process: SimProcess;
  accept(connection: Connection): void;
}

export interface NetworkContext {
  readonly engine: Engine;
  readonly links: Links;
  readonly watch: NetworkWatch;
  host(name: string): Host | undefined;
}
