import type { Membership, NodeId } from "@tidemark/raft";
import type { Peer } from "./transport.ts";

/** Where the members are reached; those too that were removed, to be told so. */
export interface Peers {
  of(id: NodeId): Peer;
  learn(membership: Membership): void;
}

export function createPeers(membership: Membership): Peers {
  const addresses = new Map<NodeId, string>();
  const learn = ({ voters, learners }: Membership) => {
    for (const { id, address } of [...voters, ...learners]) addresses.set(id, address);
  };
  learn(membership);
  return { of: (id) => ({ id, address: addresses.get(id) }), learn };
}
