import { brokerSchema, controllerSchema, gatewaySchema, readSources } from "@tidemark/config";
import { describe, expect, test } from "vitest";
import { layOut, processName } from "./layout.ts";
import { processConfigFile, serviceEnvironment } from "./process-config.ts";

const specs = layOut({ controllers: 1, brokers: 2, gateways: 1, etcds: 3 }, 4640);
const services = specs.flatMap((spec) => (spec.role === "etcd" ? [] : [{ ...spec, role: spec.role }]));
const schemas = { controller: controllerSchema, broker: brokerSchema, gateway: gatewaySchema };

describe("the settings of a process", () => {
  test.each(services.map((spec) => [processName(spec), spec] as const))("are accepted by %s", (name, spec) => {
    const text = processConfigFile(spec, { specs, data: "/data", backend: "etcd" });
    const read = readSources(schemas[spec.role] as never, {
      file: { name, text },
      environment: {},
      flags: [],
      baseDirectory: "/data",
    });
    expect(read).toMatchObject({ ok: true });
  });

  test("name the controllers' internal listeners and a folder of its own", () => {
    const text = processConfigFile(services[2] as never, { specs, data: "/data", backend: "raft" });
    expect(text).toContain("controller.endpoints: 127.0.0.1:4651");
    expect(text).toContain("log.dirs: /data/broker-2/log");
    expect(text).toContain("controlled.shutdown.max.ms: 5000");
  });

  test("name as many log directories as a broker is to have", () => {
    const plan = { specs, data: "/data", backend: "single", logDirectories: 3 } as const;
    const folders = "/data/broker-2/log,/data/broker-2/log-2,/data/broker-2/log-3";
    expect(processConfigFile(services[2] as never, plan)).toContain(`log.dirs: ${folders}`);
  });

  test("name the members of the cluster's own etcd to the controllers, or of another", () => {
    const [controller] = services;
    const own = processConfigFile(controller as never, { specs, data: "/data", backend: "etcd" });
    expect(own).toContain("consensus.backend: etcd://127.0.0.1:4712,127.0.0.1:4714,127.0.0.1:4716/tidemark");
    const plan = { specs, data: "/data", backend: "etcd", etcdEndpoints: "a:2379,b:2379" } as const;
    expect(processConfigFile(controller as never, plan)).toContain("consensus.backend: etcd://a:2379,b:2379/tidemark");
  });
});

describe("the environment of a process", () => {
  test("carries the OTEL_* variables on, and records every trace where no sampler is named", () => {
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4317", OTEL_TRACES_SAMPLER: "" };
    expect(serviceEnvironment(env)).toMatchObject({ ...env, OTEL_TRACES_SAMPLER: "parentbased_always_on" });
  });

  test("leaves a sampler that was named", () => {
    const env = { OTEL_TRACES_SAMPLER: "always_off" };
    expect(serviceEnvironment(env)).toMatchObject(env);
  });
});
