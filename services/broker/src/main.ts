/** The broker's program: settings, disks, the way to the controller, the broker, its servers, and a clean stop. */
import { loadCodecs } from "@tidemark/compression";
import { brokerSchema, formatEndpoint } from "@tidemark/config";
import { createActiveController } from "@tidemark/controller-link";
import { createNodeDisk } from "@tidemark/disk";
import { createChannelPool, createProcessBudget, createRpcServer } from "@tidemark/rpc";
import { readBootId } from "@tidemark/runtime";
import { advertisedEndpoint, listenersOf, peerTls, runService, serverHooks } from "@tidemark/service";
import { createBroker } from "./broker.ts";
import { replicationSettings } from "./replication-settings.ts";

await runService({
  role: "broker",
  schema: brokerSchema,
  start: async ({ values, runtime, telemetry, onFatal }) => {
    const disk = createNodeDisk({ runtime });
    const tls = await peerTls(values, disk);
    const pool = createChannelPool({ runtime, ...(tls === undefined ? {} : { tls }) });
    const { codecs, failures } = await loadCodecs();
    for (const [codec, error] of failures) telemetry.logger.warn(`The codec ${codec} cannot be loaded`, { error });
    const broker = createBroker({
      nodeId: values["node.id"],
      clusterId: values["cluster.id"],
      rack: values["broker.rack"] ?? "",
      bootId: await readBootId(),
      logDirs: values["log.dirs"],
      heartbeatIntervalMs: values["broker.heartbeat.interval.ms"],
      controlledShutdownMaxMs: values["controlled.shutdown.max.ms"],
      topicDefaults: values,
      replication: replicationSettings(values),
      controller: createActiveController({
        endpoints: values["controller.endpoints"].map(formatEndpoint),
        pool,
        runtime,
      }),
      runtime,
      diskFor: () => createNodeDisk({ runtime, hangMs: values["log.flush.hang.ms"] }),
      codecs,
      tracer: telemetry.tracer,
      logger: telemetry.logger,
      onFatal,
    });
    const queuedMax = values["queued.max.bytes"];
    const server = createRpcServer({
      runtime,
      listeners: await listenersOf(values, { client: [broker.service], internal: [broker.service] }, disk),
      ...(queuedMax === undefined ? {} : { processBudget: createProcessBudget(queuedMax) }),
      hooks: serverHooks(telemetry),
    });
    const stop = async () => {
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
      return { endpoints: { client: formatEndpoint(client), internal: formatEndpoint(internal) }, stop };
    } catch (error) {
      await stop();
      throw error;
    }
  },
});
