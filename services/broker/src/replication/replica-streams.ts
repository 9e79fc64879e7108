/** Replication between brokers: the service that leaders answer with, and the streams by which followers ask. */
import type { BrokerId } from "@tidemark/ids";
import { replicaName } from "@tidemark/log";
import { ReplicaService } from "@tidemark/proto/replica/v1";
import type { Crc32c } from "@tidemark/record";
import { type RpcChannel, type ServedService, serve, type TrafficClass } from "@tidemark/rpc";
import type { Runtime } from "@tidemark/runtime";
import type { Logger } from "@tidemark/telemetry";
import { createReplicaFetcher, type ReplicaFetcherStreams } from "./follower/replica-fetcher.ts";
import { createDescribeReplica, createLeaderEpochEnds } from "./leader/describe-replicas.ts";
import { serveFetchStream } from "./leader/fetch-stream.ts";
import { defaultStreamLimits, type StreamLimits } from "./limits.ts";
import type { ReplicaReceiving, ReplicaServing } from "./replica-exchange.ts";
import type { ReplicaInspection } from "./replica-inspection.ts";

export interface ReplicaStreamsOptions {
  readonly brokerId: BrokerId;
  readonly partitions: ReplicaServing & ReplicaReceiving;
  readonly inspection: ReplicaInspection;
  /** host:port of a broker's internal listener; undefined: not known, or gone. */
  readonly endpointOf: (broker: BrokerId) => string | undefined;
  /** Opens a connection of its own each time; whoever opens it closes it. */
  readonly openChannel: (endpoint: string, trafficClass: TrafficClass) => RpcChannel;
  readonly runtime: Runtime;
  readonly crc32c: Crc32c;
  /** `replica.fetch.wait.max.ms`. */
  readonly waitMs: number;
  readonly logger: Logger;
  /** Absent: the defaults. */
  readonly limits?: StreamLimits;
}

export interface ReplicaStreams {
  /** For the internal listener. */
  readonly service: ServedService;
  readonly fetcher: ReplicaFetcherStreams;
}

export function createReplicaStreams(options: ReplicaStreamsOptions): ReplicaStreams {
  const { brokerId, partitions, inspection, runtime, logger, limits = defaultStreamLimits } = options;
  const { clock, scheduler } = runtime;
  const served = {
    brokerId,
    serving: partitions,
    clock,
    scheduler,
    limits,
    onReadFailed: (replica: Parameters<typeof replicaName>[0], error: unknown) => {
      const why = error instanceof Error ? error.message : String(error);
      logger.warn(`${replicaName(replica)} cannot be read for a follower: ${why}`);
    },
  };
  return {
    service: serve(
      ReplicaService,
      {
        describeReplica: createDescribeReplica(inspection, brokerId),
        endOffsetForLeaderEpoch: createLeaderEpochEnds(inspection, brokerId),
      },
      { raw: { fetch: (stream) => serveFetchStream(stream, served) } },
    ),
    fetcher: createReplicaFetcher({
      brokerId,
      endpointOf: options.endpointOf,
      openChannel: options.openChannel,
      runtime,
      crc32c: options.crc32c,
      limits,
      waitMs: options.waitMs,
      logger,
      receiving: partitions,
    }),
  };
}
