/** The gateway's program: settings, telemetry and a clean stop as every service has them, and what compresses records. */
import { loadCodecs } from "@tidemark/compression";
import { gatewaySchema } from "@tidemark/config";
import { runService } from "@tidemark/service";
import { startGateway } from "./start-gateway.ts";

await runService({
  role: "gateway",
  schema: gatewaySchema,
  start: async (given) => {
    const { codecs, failures } = await loadCodecs();
    const { logger } = given.telemetry;
    for (const [codec, error] of failures) logger.warn(`The codec ${codec} cannot be loaded`, { error });
    return startGateway({ ...given, codecs });
  },
});
