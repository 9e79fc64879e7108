import { describe, expect, test } from "vitest";
import { brokerSchema, clientSchema, controllerSchema, gatewaySchema } from "./index.ts";
import { readEnvironment, variableOf } from "./read-environment.ts";

const keysOf = (environment: Record<string, string>) => readEnvironment(environment).entries.map(({ key }) => key);

describe("the environment", () => {
  test("gives settings by the prefix and passes over everything else", () => {
    expect(keysOf({ TIDEMARK_NODE_ID: "1", PATH: "/bin", OTEL_SERVICE_NAME: "x", TIDEMARKS: "y" })).toEqual([
      "node.id",
    ]);
  });

  test("counts an empty variable as not set", () => {
    expect(keysOf({ TIDEMARK_NODE_ID: "" })).toEqual([]);
  });

  test.each([
    "TIDEMARK_SERVICE_HOST",
    "TIDEMARK_SERVICE_PORT",
    "TIDEMARK_BROKER_SERVICE_HOST",
    "TIDEMARK_BROKER_SERVICE_PORT_GRPC",
    "TIDEMARK_PORT",
    "TIDEMARK_BROKER_PORT",
    "TIDEMARK_BROKER_PORT_4660_TCP",
    "TIDEMARK_BROKER_PORT_4660_TCP_PROTO",
    "TIDEMARK_BROKER_PORT_4660_TCP_PORT",
    "TIDEMARK_BROKER_PORT_4660_TCP_ADDR",
    "TIDEMARK_TEST_SEEDS",
    "TIDEMARK_REQUIRE",
    "TIDEMARK_CONFIG",
  ])("passes over %s, which is no setting", (variable) => {
    expect(keysOf({ [variable]: "tcp://10.0.0.1:4660" })).toEqual([]);
  });

  test.each(["TIDEMARK_PORTS", "TIDEMARK_BROKER_SERVICE", "TIDEMARK_PORT_RANGE", "TIDEMARK_TESTS"])(
    "does not take %s for a variable of others",
    (variable) => {
      expect(keysOf({ [variable]: "x" })).toHaveLength(1);
    },
  );

  test.each([brokerSchema, controllerSchema, gatewaySchema, clientSchema])(
    "can give every setting of a $name, and each by a variable of its own",
    (schema) => {
      for (const key of Object.keys(schema.settings)) {
        expect(keysOf({ [variableOf(key)]: "x" })).toEqual([key]);
      }
    },
  );
});
