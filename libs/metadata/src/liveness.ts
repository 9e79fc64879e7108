import type { BrokerId } from "@tidemark/ids";
import type { BrokerSession, Replica } from "./model.ts";

/** What the sessions allow a replica. */
export interface Liveness {
  /** Its broker lives, unfenced, with the directory that holds it undamaged: it may stand in an ISR. */
  readonly mayStay: (replica: Replica) => boolean;
  /** Beyond that it may join an ISR and be elected: its broker is not about to stop. */
  readonly mayJoin: (replica: Replica) => boolean;
}

export function livenessOf(sessions: ReadonlyMap<BrokerId, BrokerSession>): Liveness {
  const isIn = (replica: Replica, states: readonly BrokerSession["state"][]) => {
    const session = sessions.get(replica.brokerId);
    return session !== undefined && states.includes(session.state) && holdsReplica(session, replica);
  };
  return {
    mayStay: (replica) => isIn(replica, ["running", "stopping"]),
    mayJoin: (replica) => isIn(replica, ["running"]),
  };
}

/**
 * False where the replica lies in a directory that the session does not have (D8: an unmounted disk), was found damaged in
 * this very session (L10: it is not being copied again yet), or is not served in it (a log that cannot be opened).
 */
function holdsReplica(session: BrokerSession, { directoryId, damagedIn, offlineIn }: Replica): boolean {
  const isThere = directoryId === undefined || session.directoryIds.includes(directoryId);
  return isThere && damagedIn !== session.brokerEpoch && offlineIn !== session.brokerEpoch;
}
