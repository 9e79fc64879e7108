/** The broker's program: settings, telemetry and a clean stop as every service has them, and what compresses records. */
import { loadCodecs } from "@tidemark/compression";
import { brokerSchema } from "@tidemark/config";
import { readBootId } from "@tidemark/runtime";
import { runService } from "@tidemark/service";
import { startBroker } from "./start-broker.ts";

await runService({
  role: "broker",
  schema: brokerSchema,
  // One for each log directory, and one for keys and certificates.
  disks: (values) => values["log.dirs"].length + 1,
  start: async (given) => {
    const { codecs, failures } = await loadCodecs();
    const { logger } = given.telemetry;
    for (const [codec, error] of failures) logger.warn(`The codec ${codec} cannot be loaded`, { error });
    return startBroker({ ...given, codecs, bootId: await readBootId() });
  },
});
