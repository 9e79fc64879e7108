/** A gateway in its process: the way to the controller, the gateway and its server, and a clean stop. */
import { formatEndpoint, type gatewaySchema, type Values } from "@tidemark/config";
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
import { createWebHandler } from "./edge/web-handler.ts";
import { createGateway } from "./gateway.ts";

export interface GatewayStartOptions extends ServiceWorld {
  readonly values: Values<(typeof gatewaySchema)["settings"]>;
  /** What records can be compressed with here. */
  readonly codecs: Codecs;
}

/**
 * Resolves when the gateway has the metadata and answers. Throws what refuses the start, with nothing left open:
 * StartRefusedError, or the TidemarkError of the listener.
 */
export async function startGateway(options: GatewayStartOptions): Promise<RunningService> {
  const { values, runtime, transport, telemetry, codecs } = options;
  const { logger, tracer } = telemetry;
  const disk = options.openDisk();
  const tls = await peerTls(values, disk);
  const processBudget = queuedBytesBudget(values, telemetry);
  const pool = createChannelPool({ runtime, transport, processBudget, ...(tls === undefined ? {} : { tls }) });
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
    // Of its own: what producers wait for must not keep readers from their answers.
    unansweredBudget: createProcessBudget(values["queued.max.bytes"]),
    deadline: { defaultMs: values["request.timeout.ms"], maxMs: values["request.timeout.max.ms"] },
  });
  const { client } = await listenersOf(values, { client: gateway.services }, disk);
  const { scheduler } = runtime;
  const web = createWebHandler({ corsOrigins: values["gateway.cors.origins"], scheduler, logger });
  const server = createRpcServer({
    runtime,
    transport,
    processBudget,
    listeners: { client: { ...client, web } },
    hooks: serverHooks(telemetry),
  });
  const readiness = createReadiness(server);
  const stop = async () => {
    readiness.end();
    await server.stop();
    await gateway.stop();
    pool.close();
  };
  try {
    await gateway.open();
    // It has the metadata, and goes on with what it has where the controllers fall silent.
    readiness.set(true);
    const bound = await server.start();
    return {
      endpoints: { client: formatEndpoint(advertisedEndpoint(values, "client", bound)) },
      isReady: () => readiness.isReady,
      describe: () => ({ ...describeServer(server, processBudget), brokers: gateway.image.sessions.size }),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
