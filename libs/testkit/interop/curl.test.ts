import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DevCluster, runProgram, startDevCluster } from "../src/index.ts";
import { testWith } from "../src/outside.ts";

let cluster: DevCluster;

beforeAll(async () => {
  cluster = await startDevCluster({ brokers: 1 });
});

afterAll(async () => {
  await cluster.stop();
});

/** Calls the gateway's one port and returns what came back. */
async function curl(flags: readonly string[], call: string, request: object): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await runProgram("curl", [
    ...["--silent", "--show-error", ...flags, "--header", "content-type: application/json"],
    ...["--data", JSON.stringify(request), `http://${cluster.endpoint("gateway-1")}/${call}`],
  ]);
  expect([code, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout.toString()) as Record<string, unknown>;
}

describe("the gateway's one port", () => {
  testWith("curl", "takes JSON by HTTP/1.1 and by HTTP/2 without an upgrade", async () => {
    for (const [index, flags] of [["--http1.1"], ["--http2-prior-knowledge"]].entries()) {
      const topic = `curl-${index}`;
      await curl(flags, "tidemark.admin.v1.AdminService/CreateTopic", { topic, partitions: 1 });
      const records = [{ text: "grün" }, { json: { n: 1 } }];
      const produced = await curl(flags, "tidemark.log.v1.LogService/Produce", { topic, records });
      expect(produced).toEqual({ results: [{ baseOffset: "0", records: 2 }] });
      const fetched = await curl(flags, "tidemark.log.v1.LogService/Fetch", { topic, format: "FORMAT_JSON" });
      expect(fetched).toMatchObject({ partitions: [{ records: [{ text: "grün" }, { offset: "1", json: { n: 1 } }] }] });
    }
  });

  testWith("curl", "says what is wrong with a reason", async () => {
    const answer = await curl([], "tidemark.log.v1.LogService/Produce", { topic: "nope", records: [{ text: "x" }] });
    expect(answer).toMatchObject({ code: "not_found", message: expect.stringContaining("CreateTopic") as string });
  });

  // The tool comes with the project, so nothing can be absent; it stands here beside its like.
  test("answers a gRPC client by reflection", async () => {
    const buf = join(import.meta.dirname, "..", "..", "..", "node_modules", ".bin", "buf");
    const flags = ["curl", "--protocol", "grpc", "--http2-prior-knowledge", "--list-services"];
    const { code, stdout } = await runProgram(buf, [...flags, `http://${cluster.endpoint("gateway-1")}`]);
    expect(code).toBe(0);
    expect(stdout.toString().split("\n")).toEqual(
      expect.arrayContaining(["grpc.health.v1.Health", "tidemark.admin.v1.AdminService", "tidemark.log.v1.LogService"]),
    );
  });
});
