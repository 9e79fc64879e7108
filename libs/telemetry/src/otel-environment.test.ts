import { describe, expect, test } from "vitest";
import { readOtelEnvironment } from "./otel-environment.ts";

const read = (environment: Record<string, string>) => readOtelEnvironment(environment, 0.01);
const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318" };

describe("the OTEL variables", () => {
  test("ask for nothing when there are none: nothing is exported, nothing is dialled", () => {
    expect(read({})).toMatchObject({
      traces: { kind: "none" },
      metrics: { kind: "none" },
      sampling: { followsParent: true, ratio: 0.01 },
      complaints: [],
    });
  });

  test.each([
    [
      "the shared endpoint over HTTP, each signal at its path",
      endpoint,
      "http/protobuf",
      "http://collector:4318/v1/traces",
    ],
    [
      "an endpoint that ends in a slash",
      { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318/base/" },
      "http/protobuf",
      "http://collector:4318/base/v1/traces",
    ],
    [
      "the shared endpoint over gRPC, as it is",
      { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4317", OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" },
      "grpc",
      "http://collector:4317",
    ],
    [
      "the endpoint of the one signal before the shared one, as it is",
      { ...endpoint, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://other:1/x" },
      "http/protobuf",
      "http://other:1/x",
    ],
    [
      "the protocol of the one signal before the shared one",
      { ...endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf", OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "grpc" },
      "grpc",
      "http://collector:4318",
    ],
    [
      "gRPC's host and port without a scheme",
      { OTEL_EXPORTER_OTLP_ENDPOINT: "collector:4317", OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" },
      "grpc",
      "collector:4317",
    ],
    [
      "the standard's default where only the exporter is named",
      { OTEL_TRACES_EXPORTER: "otlp" },
      "http/protobuf",
      undefined,
    ],
  ])("send traces to %s", (_, environment, protocol, url) => {
    const { traces, complaints } = read(environment);
    expect(traces).toEqual({ kind: "otlp", protocol, url, timeoutMs: 10_000 });
    expect(complaints).toEqual([]);
  });

  test.each<[string, Record<string, string>]>([
    ["the exporter is none", { ...endpoint, OTEL_TRACES_EXPORTER: "none" }],
    ["the SDK is disabled", { ...endpoint, OTEL_SDK_DISABLED: "true" }],
    ["the endpoint is empty", { OTEL_EXPORTER_OTLP_ENDPOINT: "" }],
    ["only metrics have an endpoint", { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "http://m:1/v1/metrics" }],
  ])("send no traces when %s", (_, environment) => {
    expect(read(environment).traces).toEqual({ kind: "none" });
    expect(read(environment).complaints).toEqual([]);
  });

  test("tell signals apart", () => {
    const plan = read({
      ...endpoint,
      OTEL_TRACES_EXPORTER: "none",
      OTEL_METRICS_EXPORTER: "otlp,prometheus",
      OTEL_EXPORTER_OTLP_METRICS_TIMEOUT: "77",
    });
    expect(plan.traces.kind).toBe("none");
    expect(plan.metrics).toEqual({
      kind: "otlp",
      protocol: "http/protobuf",
      url: "http://collector:4318/v1/metrics",
      timeoutMs: 77,
    });
    expect(plan.complaints).toEqual([]);
  });

  test.each([
    ["always_on", undefined, { followsParent: false, ratio: 1 }],
    ["always_off", undefined, { followsParent: false, ratio: 0 }],
    ["traceidratio", "0.25", { followsParent: false, ratio: 0.25 }],
    ["parentbased_always_on", undefined, { followsParent: true, ratio: 1 }],
    ["parentbased_always_off", undefined, { followsParent: true, ratio: 0 }],
    ["parentbased_traceidratio", "0.5", { followsParent: true, ratio: 0.5 }],
    ["parentbased_traceidratio", undefined, { followsParent: true, ratio: 1 }],
  ])("choose the sampler %s %s", (name, argument, policy) => {
    const environment = {
      OTEL_TRACES_SAMPLER: name,
      ...(argument === undefined ? {} : { OTEL_TRACES_SAMPLER_ARG: argument }),
    };
    expect(read(environment).sampling).toEqual(policy);
    expect(read(environment).complaints).toEqual([]);
  });

  test("set the queue, whose batches are never larger than itself", () => {
    expect(read({ OTEL_BSP_MAX_QUEUE_SIZE: "100", OTEL_BSP_SCHEDULE_DELAY: "7" }).queue).toEqual({
      maxQueueSize: 100,
      maxExportBatchSize: 100,
      scheduledDelayMillis: 7,
      exportTimeoutMillis: 30_000,
    });
  });

  test("name the service and describe its surroundings", () => {
    const plan = read({
      OTEL_SERVICE_NAME: "mine",
      OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=pro%2Cd, zone = a=b ,",
    });
    expect(plan.serviceName).toBe("mine");
    expect(plan.resourceAttributes).toEqual({ "deployment.environment.name": "pro,d", zone: "a=b" });
  });

  test.each<[Record<string, string>, string]>([
    [{ ...endpoint, OTEL_TRACES_EXPORTER: "zipkin" }, 'OTEL_TRACES_EXPORTER names "zipkin", which is not supported'],
    [{ ...endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: "http/json" }, 'The OTLP protocol "http/json" is not supported'],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "not a url" }, "is no URL: traces are not exported"],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "file:///etc/passwd" }, "is no URL: traces are not exported"],
    [{ OTEL_TRACES_SAMPLER: "sometimes" }, 'OTEL_TRACES_SAMPLER "sometimes" is not known'],
    [{ OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "2" }, 'ARG "2" is no number from 0 to 1'],
    [{ OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "x" }, 'ARG "x" is no number from 0 to 1'],
    [{ OTEL_BSP_MAX_QUEUE_SIZE: "-1" }, 'OTEL_BSP_MAX_QUEUE_SIZE "-1" is no whole number above 0: 2048 is used'],
    [{ OTEL_RESOURCE_ATTRIBUTES: "novalue" }, 'OTEL_RESOURCE_ATTRIBUTES has "novalue"'],
    [{ OTEL_RESOURCE_ATTRIBUTES: "a=%zz" }, 'OTEL_RESOURCE_ATTRIBUTES has "a=%zz"'],
  ])("that make no sense are done without, and named (%#)", (environment, complaint) => {
    expect(read(environment).complaints.join("\n")).toContain(complaint);
  });
});
