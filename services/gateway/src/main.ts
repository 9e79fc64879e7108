/** The gateway's program: settings, the way to the controller, the gateway, its server, and a clean stop. */
import { loadCodecs } from "@tidemark/compression";
import { formatEndpoint, gatewaySchema } from "@tidemark/config";
import { createActiveController } from "@tidemark/controller-link";
import { createNodeDisk } from "@tidemark/disk";
import { createChannelPool, createProcessBudget, createRpcServer } from "@tidemark/rpc";
import { advertisedEndpoint, listenersOf, peerTls, runService, serverHooks } from "@tidemark/service";
import { createWebHandler } from "./edge/web-handler.ts";
import { createGateway } from "./gateway.ts";

await runService({
  role: "gateway",
  schema: gatewaySchema,
  start: async ({ values, runtime, telemetry }) => {
    const { logger, tracer } = telemetry;
    const disk = createNodeDisk({ runtime });
    const tls = await peerTls(values, disk);
    const processBudget = createProcessBudget(values["queued.max.bytes"]);
    const pool = createChannelPool({ runtime, processBudget, ...(tls === undefined ? {} : { tls }) });
    const { codecs, failures } = await loadCodecs();
    for (const [codec, error] of failures) logger.warn(`The codec ${codec} cannot be loaded`, { error });
    const gateway = createGateway({
      clusterId: values["cluster.id"],
      controller: createActiveController({
        endpoints: values["controller.endpoints"].map(formatEndpoint),
        pool,
        runtime,
      }),
      pool,
      runtime,
      codecs,
      tracer,
      logger,
      batchBytesMax: values["message.max.bytes"],
      deadline: { defaultMs: values["request.timeout.ms"], maxMs: values["request.timeout.max.ms"] },
    });
    const { client } = await listenersOf(values, { client: gateway.services }, disk);
    const { scheduler } = runtime;
    const web = createWebHandler({ corsOrigins: values["gateway.cors.origins"], scheduler, logger });
    const server = createRpcServer({
      runtime,
      processBudget,
      listeners: { client: { ...client, web } },
      hooks: serverHooks(telemetry),
    });
    const stop = async () => {
      await server.stop();
      await gateway.stop();
      pool.close();
    };
    try {
      await gateway.open();
      const bound = await server.start();
      return { endpoints: { client: formatEndpoint(advertisedEndpoint(values, "client", bound)) }, stop };
    } catch (error) {
      await stop();
      throw error;
    }
  },
});
