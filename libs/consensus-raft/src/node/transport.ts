/** How the nodes of a cluster reach each other. Every message may be lost, late, doubled and overtaken. */
import type { StoreAnswer } from "@tidemark/consensus";
import type { Message, NodeId } from "@tidemark/raft";

/** A node to speak to. */
export interface Peer {
  readonly id: NodeId;
  /** Its address in the membership, `id@host:port`. Undefined: wherever it spoke from. */
  readonly address: string | undefined;
}

/** What the leader answers to a command that was sent on to it. `notLeader`: it was not taken up. */
export type SubmitAnswer = StoreAnswer | { readonly kind: "notLeader" };

export interface TransportHandlers {
  onMessage(message: Message): void;
  /**
   * A command of another node. Rejects with LinkLostError where its outcome is not known, and with MalformedBytesError
   * for what is no command, which is not taken up.
   */
  onSubmit(command: Uint8Array): Promise<SubmitAnswer>;
  /** The connection to a peer was reset and its port refuses connections: its process is gone. Silence is not this. */
  onRefused(peer: NodeId): void;
  /** The connection to a peer broke: messages may have been lost. */
  onUnreachable(peer: NodeId): void;
  /** The cluster that this node belongs to. Undefined: none yet. */
  clusterId(): string | undefined;
  /** A member of this cluster spoke to a node that belonged to none. */
  joinCluster(clusterId: string): void;
}

export interface Transport {
  /** Takes up what comes in from now on. */
  start(handlers: TransportHandlers): void;
  /** Sends what can be sent now, and drops it otherwise. */
  send(to: Peer, message: Message): void;
  /** Has the peer propose a command. Rejects with LinkLostError where the answer was lost. */
  submit(to: Peer, command: Uint8Array, signal: AbortSignal): Promise<SubmitAnswer>;
  close(): Promise<void>;
}
