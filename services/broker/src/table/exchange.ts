/** The partitions of a broker, as replica streams see them. */
import type { ReplicaId } from "@tidemark/log";
import { findTopicById } from "@tidemark/metadata";
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
      return refuse(table, { id, state, fetch }, reply);
    },
    goOn(id, fetch, deadlineMs, reply) {
      const state = heldOf(table, id)?.state;
      if (state?.kind === "open") return state.partition.goOnServing(fetch, deadlineMs, reply);
      return refuse(table, { id, state, fetch }, reply);
    },
    flushed(id, report, fetchedIn) {
      const state = heldOf(table, id)?.state;
      if (state?.kind === "open") state.partition.takeFlushed(report, fetchedIn);
    },
  };
}

function refuse(
  table: TableState,
  asked: {
    readonly id: ReplicaId;
    readonly state: HeldState | undefined;
    readonly fetch: Pick<ReplicaFetch, "leaderEpoch">;
  },
  reply: (reply: ReplicaReply) => void,
): Cancel {
  const { id, state, fetch } = asked;
  const isOffline = state?.kind === "damaged" || state?.kind === "misplaced" || state?.kind === "failed";
  const reason = isOffline ? "REPLICA_OFFLINE" : isForeign(table, id) ? "UNKNOWN_TOPIC_ID" : "NOT_LEADER";
  reply({ kind: "refused", reason, leaderEpoch: fetch.leaderEpoch });
  return () => undefined;
}

/** Whether the metadata have no topic of this id. */
function isForeign({ update }: TableState, { topicId }: ReplicaId): boolean {
  return update !== undefined && findTopicById(update.image, topicId) === undefined;
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
    isForeign: (id) => isForeign(table, id),
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
