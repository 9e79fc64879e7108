import { endpoint } from "../addresses.ts";
import { identityIsWhole } from "../listener-rules.ts";
import { duration } from "../numbers.ts";
import { createSchema } from "../schema.ts";
import { defaulted, optional } from "../setting.ts";
import { oneOf, path, text } from "../words.ts";

/** Every setting of the command line and of programs that use the SDK through it. */
export const clientSchema = createSchema(
  "client",
  {
    server: defaulted(
      endpoint({ anyPort: false }),
      { host: "127.0.0.1", port: 4640 },
      "The gateway or broker to talk to.",
    ),
    "server.tls.ca": optional(path(), "PEM file of the authorities by which the server is checked. Unset: plaintext."),
    "server.tls.cert": optional(path(), "PEM file of the certificate to show to the server."),
    "server.tls.key": optional(path(), "PEM file of the key of server.tls.cert."),
    "request.timeout.ms": defaulted(duration({ min: 1 }), 30_000, "The deadline of one call."),
    "delivery.timeout.ms": defaulted(
      duration({ min: 1 }),
      120_000,
      "How long a record is sent again, from when it was handed over, before it counts as failed.",
    ),
    "jaeger.url": optional(
      text({ pattern: /^https?:\/\/[^\s/]+(?:\/\S*)?$/, form: "http://host:port" }),
      "Where Jaeger's pages are, for traces that are named or drawn.",
    ),
    acks: defaulted(
      oneOf("none", "leader", "all"),
      "all",
      "Who must have a record before it counts as acknowledged: nobody, the leader, or every member of the ISR.",
    ),
  },
  [identityIsWhole("server")],
);
