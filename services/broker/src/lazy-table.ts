/** The table of a broker before its logs are open: services are mounted earlier. */
import type { BrokerId } from "@tidemark/ids";
import type { MetadataImage } from "@tidemark/metadata";
import type { ReplicaReceiving, ReplicaServing } from "./replication/replica-exchange.ts";
import type { ReplicaInspection } from "./replication/replica-inspection.ts";
import type { PartitionLookup, PartitionTable } from "./table/partition-table.ts";

export interface LazyTable {
  readonly lookup: PartitionLookup;
  readonly exchange: ReplicaServing & ReplicaReceiving;
  readonly inspection: ReplicaInspection;
}

/** `table` is asked at each call: listeners are bound only when it can be given. */
export function lazyTable(table: () => PartitionTable): LazyTable {
  return {
    lookup: {
      find: (request) => table().find(request),
      findHeld: (request) => table().findHeld(request),
      partitionCount: (topic) => table().partitionCount(topic),
      ledOf: (topic) => table().ledOf(topic),
      heldOf: (topic) => table().heldOf(topic),
    },
    exchange: {
      fetch: (...fetch) => table().serving.fetch(...fetch),
      goOn: (...fetch) => table().serving.goOn(...fetch),
      flushed: (...report) => table().serving.flushed(...report),
      response: (...response) => table().receiving.response(...response),
    },
    inspection: {
      brokerEpoch: () => table().inspection.brokerEpoch(),
      replicas: () => table().inspection.replicas(),
      log: (replica) => table().inspection.log(replica),
      trouble: (replica) => table().inspection.trouble(replica),
      regressedFrom: (replica) => table().inspection.regressedFrom(replica),
      isForeign: (replica) => table().inspection.isForeign(replica),
      ledIn: (replica) => table().inspection.ledIn(replica),
    },
  };
}

/** host:port of a broker's internal listener, by its session. Undefined: it has none. */
export function internalEndpoint(image: MetadataImage, broker: BrokerId): string | undefined {
  const endpoint = image.sessions.get(broker)?.endpoints.find((each) => each.listener === "internal");
  return endpoint === undefined ? undefined : `${endpoint.host}:${endpoint.port}`;
}
