import type { ByteBudget } from "@tidemark/rpc";
import type { SimProcess } from "../engine/sim-process.ts";

/** Looks on at what processes get from the network and keep for it. Whoever looks changes nothing. */
export interface NetworkWatch {
  /**
   * A process begins a call. Returns what is to be told of each message that it gets in answer. Undefined: nobody wants to
   * know.
   */
  onCall(process: SimProcess, path: string): ((bytes: Uint8Array) => void) | undefined;
  /** A process has a connection to a peer, and counts what it holds for it against a budget of that connection. */
  onConnection(process: SimProcess, peer: string, budget: ByteBudget): PeerQueue;
}

/** What one process has handed over for a peer and the peer has no room for, in bytes. */
export interface PeerQueue {
  held(bytes: number): void;
  left(bytes: number): void;
  /** The connection is over, and with it every call that ran over it. */
  end(): void;
}

const nobodysQueue: PeerQueue = { held: () => undefined, left: () => undefined, end: () => undefined };

/** Nobody looks on. */
export const unwatched: NetworkWatch = { onCall: () => undefined, onConnection: () => nobodysQueue };
