import type { BrokerId, ControllerEpoch } from "@tidemark/ids";
import type { AlterPartition, AlterPartitionAnswer, ProposalAttempt } from "../controller-messages.ts";
import type { PartitionState } from "../partition-state.ts";
import type { ReplicaFetch, ReplicaFlushed, ReplicaResponse } from "../replica-messages.ts";
import type { SimulatedBatch } from "./simulated-log.ts";

export type Node = BrokerId | "controller";

/** What travels. The process that a connection led to is named by `toRun`: a message to one that is gone is lost. */
export type Message = {
  readonly from: Node;
  readonly to: Node;
  readonly toRun: number;
} & (
  | { readonly kind: "fetch"; readonly fromRun: number; readonly fetch: ReplicaFetch }
  | { readonly kind: "flushedReport"; readonly report: ReplicaFlushed }
  | { readonly kind: "response"; readonly response: ReplicaResponse; readonly batches: readonly SimulatedBatch[] }
  | { readonly kind: "alter"; readonly fromRun: number; readonly request: AlterPartition }
  | { readonly kind: "alterAnswer"; readonly attempt: ProposalAttempt; readonly answer: AlterPartitionAnswer }
  | { readonly kind: "metadata"; readonly state: PartitionState; readonly controllerEpoch: ControllerEpoch }
);

/** What is on its way, in the order of sending. Whoever runs the cluster decides what arrives when. */
export interface Network {
  readonly inFlight: Message[];
  send(message: Message): void;
  /** Keeps what is sent on the link, now and from now on, until `release`. */
  hold(from: Node, to: Node): void;
  release(from: Node, to: Node): void;
  isHeld(message: Message): boolean;
  /** Loses what is sent on the link from now on, until `heal`. */
  cut(from: Node, to: Node): void;
  heal(): void;
  isCut(from: Node, to: Node): boolean;
  /** Takes the first message that is not held. */
  next(arrives: (message: Message) => boolean): Message | undefined;
  /** Takes what is on its way on the link. */
  take(from: Node, to: Node): readonly Message[];
}

export function createNetwork(): Network {
  let inFlight: Message[] = [];
  const held = new Set<string>();
  const cuts = new Set<string>();
  const link = (from: Node, to: Node) => `${from} -> ${to}`;
  return {
    get inFlight() {
      return inFlight;
    },
    send(message) {
      if (!cuts.has(link(message.from, message.to))) inFlight.push(message);
    },
    hold: (from, to) => {
      held.add(link(from, to));
    },
    release: (from, to) => {
      held.delete(link(from, to));
    },
    isHeld: (message) => held.has(link(message.from, message.to)),
    cut: (from, to) => {
      cuts.add(link(from, to));
    },
    heal: () => {
      cuts.clear();
    },
    isCut: (from, to) => cuts.has(link(from, to)),
    next(arrives) {
      const index = inFlight.findIndex((message) => !held.has(link(message.from, message.to)) && arrives(message));
      return index < 0 ? undefined : inFlight.splice(index, 1)[0];
    },
    take(from, to) {
      const taken = inFlight.filter((message) => message.from === from && message.to === to);
      inFlight = inFlight.filter((message) => message.from !== from || message.to !== to);
      return taken;
    },
  };
}
