/** A broker in its process: disks, the way to the controller, the broker and its servers, and a clean stop. */
import { type brokerSchema, formatEndpoint, type Values } from "@tidemark/config";
import { createActiveController } from "@tidemark/controller-link";
import type { Codecs } from "@tidemark/record";
import { createChannelPool, createProcessBudget, createRpcServer } from "@tidemark/rpc";
import {
  advertisedEndpoint,
  createReadiness,
  describeServer,
  listenersOf,
  peerTls,
  queuedBytesBudget,
  type RunningService,
  type ServiceWorld,
  serverHooks,
} from "@tidemark/service";
import { createBroker } from "./broker.ts";
import type { BrokerExperiment } from "./experiment.ts";
import { replicaKeepalive } from "./replication/limits.ts";
import { producerSettings, replicationSettings } from "./replication-settings.ts";

export interface BrokerStartOptions extends ServiceWorld {
  readonly values: Values<(typeof brokerSchema)["settings"]>;
  /** Identifies the boot of the machine. Empty: not known. */
  readonly bootId: string;
  /** What records can be compressed with here. */
  readonly codecs: Codecs;
  readonly experiment?: BrokerExperiment;
}

/**
 * Resolves when the broker is registered and answers. Throws what refuses the start, with nothing left open:
 * StartRefusedError, the error of a log directory, or the TidemarkError of a listener.
 */
export async function startBroker(options: BrokerStartOptions): Promise<RunningService> {
  const { values, runtime, transport, telemetry, openDisk } = options;
  const disk = openDisk();
  const tls = await peerTls(values, disk);
  const channelOptions = { runtime, ...(tls === undefined ? {} : { tls }) };
  const pool = createChannelPool({ ...channelOptions, transport });
  const broker = createBroker({
    nodeId: values["node.id"],
    clusterId: values["cluster.id"],
    rack: values["broker.rack"] ?? "",
    bootId: options.bootId,
    logDirs: values["log.dirs"],
    heartbeatIntervalMs: values["broker.heartbeat.interval.ms"],
    controlledShutdownMaxMs: values["controlled.shutdown.max.ms"],
    topicDefaults: values,
    upkeep: values,
    replication: replicationSettings(values),
    producers: producerSettings(values),
    openChannel: (endpoint, trafficClass) =>
      transport.createChannel(endpoint, { ...channelOptions, trafficClass, keepalive: replicaKeepalive }),
    controller: createActiveController({
      endpoints: values["controller.endpoints"].map(formatEndpoint),
      pool,
      runtime,
    }),
    runtime,
    diskFor: () => openDisk({ hangMs: values["log.flush.hang.ms"] }),
    codecs: options.codecs,
    decompressionRatioMax: values["decompression.ratio.max"],
    // Of its own: what producers wait for must not keep followers from their answers.
    unansweredBudget: createProcessBudget(values["queued.max.bytes"]),
    tracer: telemetry.tracer,
    metrics: telemetry.metrics,
    logger: telemetry.logger,
    onReady: (isReady) => readiness.set(isReady),
    onFatal: options.onFatal,
    ...(options.experiment === undefined ? {} : { experiment: options.experiment }),
  });
  const processBudget = queuedBytesBudget(values, telemetry);
  const server = createRpcServer({
    runtime,
    transport,
    listeners: await listenersOf(
      values,
      { client: broker.services, internal: [...broker.services, broker.replicaService] },
      disk,
    ),
    processBudget,
    hooks: serverHooks(telemetry),
  });
  const readiness = createReadiness(server);
  const stop = async () => {
    readiness.end();
    await broker.leave();
    await server.stop();
    await broker.stop();
    pool.close();
  };
  try {
    await broker.open();
    const bound = await server.start();
    const client = advertisedEndpoint(values, "client", bound);
    const internal = advertisedEndpoint(values, "internal", bound);
    await broker.join([
      { listener: "client", ...client },
      { listener: "internal", ...internal },
    ]);
    return {
      endpoints: { client: formatEndpoint(client), internal: formatEndpoint(internal) },
      isReady: () => readiness.isReady,
      describe: () => ({ ...describeServer(server, processBudget), ...broker.describe() }),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
