import type { ByteBudget } from "@tidemark/rpc";
import type { SimProcess } from "../engine/sim-process.ts";
import type { PeerQueue } from "../network/network-watch.ts";
import type { Violations } from "./violations.ts";

/**
 * Holds what processes count as queued for a peer against what the network holds of theirs:
 *
 * - what the peer has no room for is counted by the process, and so is within its budget of the connection;
 * - a count is never below nothing nor above its limit;
 * - when a connection is over, everything is given back.
 */
export interface QueueWatch {
  /** A process has a connection to a peer, and counts what it holds for it against a budget of that connection. */
  readonly observe: (process: QueueOwner, peer: string, budget: ByteBudget) => PeerQueue;
  /** To be called from time to time. */
  readonly check: () => void;
}

type QueueOwner = Pick<SimProcess, "name" | "isAlive" | "isPaused">;

interface Queue {
  readonly process: QueueOwner;
  readonly peer: string;
  readonly budget: Pick<ByteBudget, "used" | "limit">;
  held: number;
  /** When the connection was over and its process last stood still. Undefined: it stands. */
  overSinceMs: number | undefined;
}

/** There are many connections, and what is wrong with one stays so. */
const betweenChecksMs = 1000;

/** Within so many milliseconds a process that runs has heard that its calls are over. */
const newsMs = 1000;

export function createQueueWatch({ report }: Violations, clock: { readonly nowMs: number }): QueueWatch {
  const queues = new Set<Queue>();
  let nextCheckMs = 0;

  const judge = (queue: Queue) => {
    const { budget, held } = queue;
    if (budget.used < 0 || budget.used > budget.limit) {
      report("a count of queued bytes is beyond its bounds", describe(queue));
    } else if (held > budget.used) report("a process holds for a peer what it does not count", describe(queue));
  };
  const judgeOver = (queue: Queue, sinceMs: number) => {
    const { process, budget } = queue;
    if (budget.used === 0) queues.delete(queue);
    else if (process.isPaused) queue.overSinceMs = clock.nowMs;
    else if (clock.nowMs - sinceMs >= newsMs) {
      report("queued bytes were not given back", describe(queue));
    }
  };

  return {
    observe(process, peer, budget) {
      const queue: Queue = { process, peer, budget, held: 0, overSinceMs: undefined };
      queues.add(queue);
      return {
        held(bytes) {
          queue.held += bytes;
          judge(queue);
        },
        left(bytes) {
          queue.held -= bytes;
        },
        end() {
          queue.overSinceMs ??= clock.nowMs;
        },
      };
    },
    check() {
      if (clock.nowMs < nextCheckMs) return;
      nextCheckMs = clock.nowMs + betweenChecksMs;
      for (const queue of queues) {
        if (!queue.process.isAlive) queues.delete(queue);
        else if (queue.overSinceMs === undefined) judge(queue);
        else judgeOver(queue, queue.overSinceMs);
      }
    },
  };
}

function describe({ process, peer, budget, held }: Queue): string {
  return `${process.name} for ${peer}: ${budget.used} counted of ${budget.limit}, ${held} held`;
}
