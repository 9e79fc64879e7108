import { createReplicaStreams, type ReplicaReceiving, type ReplicaServing } from "@tidemark/broker/replica-streams";
import { crc32c } from "@tidemark/compression";
import { brokerId } from "@tidemark/ids";
import { createChannel } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { createLogger } from "@tidemark/telemetry";

const runtime = createNodeRuntime();

export const measuredLeader = brokerId(1);

/** Replica streams as a broker has them, with nothing around them. `port`: where the leader listens. */
export function measuredStreams(options: {
  readonly id: number;
  readonly port?: number;
  readonly partitions: Partial<ReplicaServing & ReplicaReceiving>;
}) {
  return createReplicaStreams({
    brokerId: brokerId(options.id),
    partitions: {
      fetch: () => () => undefined,
      goOn: () => () => undefined,
      flushed: () => undefined,
      response: () => undefined,
      ...options.partitions,
    },
    inspection: {
      brokerEpoch: () => undefined,
      replicas: () => [],
      log: () => undefined,
      ledIn: () => undefined,
      isForeign: () => false,
      trouble: () => undefined,
      regressedFrom: () => undefined,
    },
    endpointOf: () => (options.port === undefined ? undefined : `127.0.0.1:${options.port}`),
    openChannel: (endpoint, trafficClass) => createChannel(endpoint, { trafficClass, runtime }),
    runtime,
    crc32c,
    waitMs: 500,
    logger: createLogger({
      clock: runtime.clock,
      level: "warn",
      service: "bench",
      instanceId: "bench",
      write: (line) => process.stderr.write(line),
    }),
  });
}
