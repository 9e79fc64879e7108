/** Nodes of one process that reach each other in memory: every message arrives a moment later, in order. */
import { LinkLostError } from "@tidemark/consensus";
import type { NodeId } from "@tidemark/raft";
import type { Scheduler } from "@tidemark/runtime";
import type { Transport, TransportHandlers } from "../node/transport.ts";

export interface MemoryNetwork {
  /** For a process. The node that was there before is not reached any more. */
  transport(id: NodeId): Transport;
  /** The process is gone: its connections are reset and its port refuses. */
  remove(id: NodeId): void;
}

/** How long a message takes, in milliseconds. */
const latencyMs = 1;

export function createMemoryNetwork(scheduler: Scheduler): MemoryNetwork {
  const nodes = new Map<NodeId, TransportHandlers>();
  const later = (run: () => void) => {
    scheduler.after(latencyMs, run);
  };
  return {
    transport: (id) => ({
      start(handlers) {
        nodes.set(id, handlers);
        for (const [other, node] of nodes) if (other !== id) later(() => node.onUnreachable(id));
      },
      send: (to, message) => later(() => nodes.get(to.id)?.onMessage(message)),
      submit(to, command) {
        const answer = nodes.get(to.id)?.onSubmit(command);
        return answer ?? Promise.reject(new LinkLostError("nobody is there"));
      },
      async close() {
        nodes.delete(id);
      },
    }),
    remove(id) {
      if (!nodes.delete(id)) return;
      for (const node of nodes.values()) later(() => node.onRefused(id));
    },
  };
}
