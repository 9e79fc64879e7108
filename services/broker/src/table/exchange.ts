/** The partitions of a broker, as replica streams see them. */
import type { ReplicaFetch } from "@tidemark/replication";
import type { Cancel } from "@tidemark/runtime";
import type { ReplicaReceiving, ReplicaReply, ReplicaServing } from "../replication/replica-exchange.ts";
import type { ReplicaInspection } from "../replication/replica-inspection.ts";
import type { HeldState } from "./held-replica.ts";
import { heldOf, type TableState } from "./table-state.ts";

export function createServing(table: TableState): ReplicaServing {
  return {
    fetch(id, fetch, deadlineMs, reply) {
      const state = heldOf(table, id)?.state;
      if (state?.kind === "open") return state.partition.serve(fetch, deadlineMs, reply);
      return refuse(state, fetch, reply);
    },
    goOn(id, fetch, deadlineMs, reply) {
      const state = heldOf(table, id)?.state;
      if (state?.kind === "open") return state.partition.goOnServing(fetch, deadlineMs, reply);
      return refuse(state, fetch, reply);
    },
    flushed(id, report, fetchedIn) {
      const state = heldOf(table, id)?.state;
      if (state?.kind === "open") state.partition.takeFlushed(report, fetchedIn);
    },
  };
}

function refuse(
  state: HeldState | undefined,
  { leaderEpoch }: Pick<ReplicaFetch, "leaderEpoch">,
  reply: (reply: ReplicaReply) => void,
): Cancel {
  const isOffline = state?.kind === "damaged" || state?.kind === "misplaced" || state?.kind === "failed";
  reply({ kind: "refused", reason: isOffline ? "REPLICA_OFFLINE" : "NOT_LEADER", leaderEpoch });
  return () => undefined;
}

/** The replicas, for those who ask how they stand. */
export function createInspection(table: TableState): ReplicaInspection {
  return {
    brokerEpoch: () => table.registration?.brokerEpoch,
    replicas: () => [...table.held.values()].map(({ id }) => id),
    log(id) {
      const state = heldOf(table, id)?.state;
      return state?.kind === "open" || state?.kind === "ready" || state?.kind === "damaged" ? state.log : undefined;
    },
    trouble(id) {
      const held = heldOf(table, id);
      switch (held?.state.kind) {
        case "misplaced":
          return `it is recorded in the log directory ${held.state.directoryId}, which this broker does not have`;
        case "failed":
          return held.state.message;
        default:
          return held?.home?.failure?.message;
      }
    },
    regressedFrom(id) {
      const state = heldOf(table, id)?.state;
      return state?.kind === "open" ? state.partition.seenBeyond?.leaderEpoch : undefined;
    },
    ledIn(id) {
      const state = heldOf(table, id)?.state;
      return state?.kind === "open" && state.partition.isLed ? state.partition.leaderEpoch : undefined;
    },
  };
}

export function createReceiving(table: TableState): ReplicaReceiving {
  return {
    response(id, response, bytes, release, traces) {
      const state = heldOf(table, id)?.state;
      if (state?.kind === "open") state.partition.takeResponse(response, { bytes, release, traces });
      else release();
    },
  };
}
