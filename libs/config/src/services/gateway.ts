import { endpoint, listeners } from "../addresses.ts";
import { advertisedCanBeDialled, identityIsWhole, portsDiffer, tlsIsWhole, warnPlaintext } from "../listener-rules.ts";
import { integer } from "../numbers.ts";
import { createSchema } from "../schema.ts";
import { defaulted, optional, required } from "../setting.ts";
import { largestBatchPasses, queuesNest } from "../size-rules.ts";
import { requestTimeoutFitsCap } from "../timer-rules.ts";
import { list, text } from "../words.ts";
import { batchSizeSettings, clientListenerSettings, messageSizeSettings, serviceSettings } from "./common.ts";

const names = ["client"] as const;

const placeSettings = {
  "node.id": defaulted(
    integer({ min: 0, max: 2 ** 31 - 1 }),
    1,
    "The number of this gateway in logs, metrics and traces. Nothing else depends on it.",
  ),
  listeners: defaulted(
    listeners({ anyPort: true, names }),
    [{ name: "client", host: "127.0.0.1", port: 4640 }],
    "Where this process listens. Port 0 takes a free one.",
  ),
  "advertised.listeners": optional(
    listeners({ anyPort: false, names }),
    "Where clients reach this process. Unset: where it listens.",
  ),
  "controller.endpoints": required(
    list(endpoint({ anyPort: false }), { min: 1 }),
    "Internal listeners of some controllers; from any of them the active one is found.",
  ),
  "gateway.cors.origins": defaulted(
    list(text({ pattern: /^(\*|https?:\/\/[^\s/,]+)$/, form: "scheme://host[:port] without a path, or *" })),
    [],
    "Pages of these origins may call the gateway from a browser.",
  ),
} as const;

/** Every setting of a gateway. */
export const gatewaySchema = createSchema(
  "gateway",
  {
    ...serviceSettings,
    ...placeSettings,
    ...clientListenerSettings,
    ...batchSizeSettings,
    ...messageSizeSettings(4 * 2 ** 20),
  },
  [
    requestTimeoutFitsCap,
    largestBatchPasses,
    queuesNest,
    portsDiffer,
    advertisedCanBeDialled,
    tlsIsWhole("client"),
    identityIsWhole("peer"),
    warnPlaintext("client"),
  ],
);
