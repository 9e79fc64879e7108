import type { create } from "@bufbuild/protobuf";
import { fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import { ClusterService } from "@tidemark/proto/cluster/v1";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "@tidemark/proto/grpc/health/v1";
import type { ServerReflectionRequestSchema } from "@tidemark/proto/grpc/reflection/v1";
import { ServerReflection } from "@tidemark/proto/grpc/reflection/v1";
import { ServerReflection as ServerReflectionAlpha } from "@tidemark/proto/grpc/reflection/v1alpha";
import { LogService } from "@tidemark/proto/log/v1";
import { describe, expect, it } from "vitest";
import { createChannelPool } from "../client/channel-pool.ts";
import { createRpcClient } from "../client/rpc-client.ts";
import { cleanUp, eventually, openChannel, runtime, startServer } from "../testing/harness.ts";
import { createRpcServer } from "./rpc-server.ts";
import { serve } from "./served-service.ts";

const services = [serve(LogService, { produce: () => ({}) })];

const startTwo = async () => {
  const exposed: string[] = [];
  const server = createRpcServer({
    runtime,
    hooks: { onExposed: (listener, host) => exposed.push(`${listener} ${host}`) },
    listeners: {
      client: { port: 0, services },
      internal: { host: "0.0.0.0", port: 0, services: [...services, serve(ClusterService, {})] },
    },
  });
  const { client, internal } = await server.start();
  cleanUp(() => server.stop(0));
  return { server, client: openChannel(client!.port), internal: openChannel(internal!.port), exposed };
};

describe("listeners", () => {
  it("bind loopback unless told otherwise, and say at each start where they are exposed without TLS", async () => {
    const { exposed } = await startTwo();
    expect(exposed).toEqual(["internal 0.0.0.0"]);
  });

  it("offer only their own services", async () => {
    const { client, internal } = await startTwo();
    const list = async (channel: typeof client) => {
      const ask = { messageRequest: { case: "listServices", value: "*" } as const };
      const answers = createRpcClient(ServerReflection, channel).serverReflectionInfo(once(ask));
      for await (const { messageResponse: answer } of answers) {
        if (answer.case === "listServicesResponse") return answer.value.service.map(({ name }) => name);
      }
      return [];
    };
    const standard = [
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
    ];
    expect(await list(client)).toEqual([...standard, "tidemark.log.v1.LogService"]);
    expect(await list(internal)).toEqual([
      ...standard,
      "tidemark.cluster.v1.ClusterService",
      "tidemark.log.v1.LogService",
    ]);
    await expect(createRpcClient(ClusterService, client).allocateProducerIds({})).rejects.toMatchObject({
      reason: Reason.UNSUPPORTED,
      outcome: Outcome.NOT_APPLIED,
    });
  });

  it("say which of them cannot be bound, and what to do", async () => {
    const { port } = await startServer({});
    const server = createRpcServer({ runtime, listeners: { client: { port, services } } });
    await expect(server.start()).rejects.toMatchObject({
      reason: Reason.INVALID_CONFIG,
      message: `Listener "client" cannot bind 127.0.0.1:${port}: another process listens there. Stop it, or choose another port (0 takes a free one).`,
    });
    const nowhere = createRpcServer({ runtime, listeners: { client: { host: "192.0.2.1", port: 0, services } } });
    await expect(nowhere.start()).rejects.toMatchObject({
      message: expect.stringContaining("does not have") as string,
    });
  });
});

describe("health", () => {
  it("answers for the process and for each service, and not for unknown ones", async () => {
    const { server, client } = await startTwo();
    const health = createRpcClient(Health, client);
    const statusOf = async (service: string) => (await health.check({ service })).status;
    server.setServing("tidemark.cluster.v1.ClusterService", false);
    expect(await statusOf("")).toBe(ServingStatus.SERVING);
    expect(await statusOf("tidemark.log.v1.LogService")).toBe(ServingStatus.SERVING);
    expect(await statusOf("tidemark.cluster.v1.ClusterService")).toBe(ServingStatus.NOT_SERVING);
    await expect(statusOf("who")).rejects.toMatchObject({ grpcStatus: status.NOT_FOUND });
  });

  it("tells watchers of each change, and of the stop before the stream ends", async () => {
    const { server, client } = await startTwo();
    const seen: ServingStatus[] = [];
    for await (const { status: state } of createRpcClient(Health, client).watch({ service: "s" })) {
      seen.push(state);
      if (seen.length === 1) server.setServing("s", true);
      if (seen.length === 2) cleanUp(() => server.stop(0));
      if (seen.length === 2) server.stop(60_000).catch(() => undefined);
    }
    expect(seen).toEqual([ServingStatus.SERVICE_UNKNOWN, ServingStatus.SERVING, ServingStatus.NOT_SERVING]);
  });
});

describe.each([
  ["v1", ServerReflection],
  ["v1alpha", ServerReflectionAlpha as unknown as typeof ServerReflection],
])("reflection %s", (_, version) => {
  type Question = ReturnType<typeof create<typeof ServerReflectionRequestSchema>>["messageRequest"];

  const ask = async (...questions: Question[]) => {
    const { client } = await startTwo();
    const answers = [];
    async function* requests() {
      for (const messageRequest of questions) yield { host: "h", messageRequest };
    }
    for await (const { messageResponse } of createRpcClient(version, client).serverReflectionInfo(requests())) {
      answers.push(messageResponse);
    }
    return answers;
  };

  const filesOf = (answer: Awaited<ReturnType<typeof ask>>[number] | undefined) =>
    answer?.case === "fileDescriptorResponse"
      ? answer.value.fileDescriptorProto.map((file) => fromBinary(FileDescriptorProtoSchema, file))
      : [];

  it.each([
    ["a service", "tidemark.log.v1.LogService", "tidemark/log/v1/log.proto"],
    ["a method", "tidemark.log.v1.LogService.Produce", "tidemark/log/v1/log.proto"],
    ["a message", "tidemark.log.v1.ProduceRequest", "tidemark/log/v1/log.proto"],
    ["a nested enum", "grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto"],
    ["an enum value", "tidemark.common.v1.REASON_NOT_LEADER", "tidemark/common/v1/common.proto"],
    ["a detail of errors", "google.rpc.ErrorInfo", "google/rpc/error_details.proto"],
    ["itself", version.typeName, version.file.proto.name],
  ])("finds the file of %s, with all that it needs and its comments", async (_what, symbol, file) => {
    const [answer] = await ask({ case: "fileContainingSymbol", value: symbol });
    const files = filesOf(answer);
    expect(files[0]?.name).toBe(file);
    const names = new Set(files.map(({ name }) => name));
    for (const { dependency } of files) for (const name of dependency) expect(names).toContain(name);
    const comments = files[0]?.sourceCodeInfo?.location.filter(({ leadingComments }) => leadingComments !== "") ?? [];
    expect(comments.length).toBeGreaterThan(0);
  });

  it("answers one question after the other, and goes on after one that it cannot answer", async () => {
    const answers = await ask(
      { case: "fileContainingSymbol", value: "no.such.Thing" },
      { case: undefined },
      {
        case: "fileContainingExtension",
        value: { $typeName: "grpc.reflection.v1.ExtensionRequest", containingType: "x", extensionNumber: 1 },
      },
      { case: "allExtensionNumbersOfType", value: "tidemark.log.v1.Record" },
      { case: "fileByFilename", value: "google/protobuf/duration.proto" },
    );
    const codes = answers.map((answer) => (answer.case === "errorResponse" ? answer.value.errorCode : answer.case));
    expect(codes).toEqual([
      status.NOT_FOUND,
      status.INVALID_ARGUMENT,
      status.NOT_FOUND,
      "allExtensionNumbersResponse",
      "fileDescriptorResponse",
    ]);
    expect(filesOf(answers[4]).map(({ name }) => name)).toEqual(["google/protobuf/duration.proto"]);
  });
});

describe("a channel pool", () => {
  it("gives each traffic class of an endpoint a connection of its own, and the same one each time", async () => {
    const { port, server } = await startServer({ produce: () => ({}) });
    const pool = createChannelPool({ runtime });
    cleanUp(pool.close);
    const endpoint = `127.0.0.1:${port}`;
    const call = (trafficClass: "control" | "replication") =>
      createRpcClient(LogService, pool.get(endpoint, trafficClass)).produce({});
    await Promise.all([call("control"), call("control"), call("replication")]);
    expect(server.connections).toBe(2);
    expect(pool.get(endpoint, "control")).toBe(pool.get(endpoint, "control"));
    const before = pool.get(endpoint, "control");
    pool.drop(endpoint);
    expect(before.state()).toBe("closed");
    await call("control");
    await eventually(() => server.connections).toBe(1);
  });

  it("makes only those anew that have no connection", async () => {
    const { port } = await startServer({ produce: () => ({}) });
    const pool = createChannelPool({ runtime });
    cleanUp(pool.close);
    const endpoint = `127.0.0.1:${port}`;
    const [connected, idle] = [pool.get(endpoint, "control"), pool.get(endpoint, "replication")];
    await connected.waitForReady(60_000);
    pool.renew(endpoint);
    expect([connected.state(), idle.state()]).toEqual(["ready", "closed"]);
    expect([pool.get(endpoint, "control") === connected, pool.get(endpoint, "replication") === idle]).toEqual([
      true,
      false,
    ]);
  });
});

it("a pool ends the pause of a channel that was refused, and of no other one", async () => {
  const pool = createChannelPool({ runtime });
  cleanUp(pool.close);
  // No program is given this port by chance.
  const refusing = "127.0.0.1:1";
  const refused = pool.get(refusing, "control");
  await expect(createRpcClient(LogService, refused).produce({})).rejects.toMatchObject({ reason: Reason.UNAVAILABLE });
  await eventually(() => refused.state()).toBe("failing");
  const idle = pool.get(refusing, "replication");
  pool.endPause(refusing);
  expect([refused.state(), idle.state()]).toEqual(["closed", "idle"]);
  expect(pool.get(refusing, "control")).not.toBe(refused);
});

async function* once<Message>(message: Message) {
  yield message;
}
