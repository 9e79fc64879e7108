import { type DevCluster, runProgram, startDevCluster } from "@tidemark/testkit";
import { testWith } from "@tidemark/testkit/outside";
import { afterAll, beforeAll, describe, expect } from "vitest";

let cluster: DevCluster;
beforeAll(async () => {
  cluster = await startDevCluster({ brokers: 2 });
});
afterAll(() => cluster.stop());

/** Calls one method with plain curl. `flags`: what a person would add. */
async function curl(path: string, body: string, flags: readonly string[] = []) {
  const url = `http://${cluster.endpoint("gateway-1")}/${path}`;
  const json = ["-H", "Content-Type: application/json", "-d", body, url];
  const { code, stdout, stderr } = await runProgram("curl", [
    "-sS",
    "-w",
    "\n%{http_version} %{http_code}",
    ...flags,
    ...json,
  ]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const lines = stdout.toString().split("\n");
  return { how: lines.at(-1), answer: JSON.parse(lines.slice(0, -1).join("\n")) as Record<string, unknown> };
}

const log = "tidemark.log.v1.LogService";
const topic = (name: string) => JSON.stringify({ topic: name, partitions: 1, replicationFactor: 1 });

describe("the one port of a gateway", () => {
  testWith("curl", "takes plain curl", async () => {
    await curl("tidemark.admin.v1.AdminService/CreateTopic", topic("one"));
    const produced = await curl(`${log}/Produce`, '{"topic":"one","records":[{"text":"hello"}]}');
    expect(produced.how).toBe("1.1 200");
    const fetched = await curl(`${log}/Fetch`, '{"topic":"one","format":"FORMAT_TEXT"}');
    expect(fetched.answer).toMatchObject({ partitions: [{ records: [{ text: "hello" }] }] });
  });

  testWith("curl", "takes curl that speaks HTTP/2 from the first byte", async () => {
    await curl("tidemark.admin.v1.AdminService/CreateTopic", topic("two"), ["--http2-prior-knowledge"]);
    const produced = await curl(`${log}/Produce`, '{"topic":"two","records":[{"json":{"a":[1,null]}}]}', [
      "--http2-prior-knowledge",
    ]);
    expect(produced.how).toBe("2 200");
    const fetched = await curl(`${log}/Fetch`, '{"topic":"two","format":"FORMAT_JSON"}', ["--http2-prior-knowledge"]);
    expect(fetched.answer).toMatchObject({ partitions: [{ records: [{ json: { a: [1, null] } }] }] });
  });

  testWith("curl", "takes curl that offers to go over to HTTP/2", async () => {
    expect((await curl("grpc.health.v1.Health/Check", "{}", ["--http2"])).answer).toEqual({ status: "SERVING" });
  });

  testWith("curl", "tells curl what is wrong", async () => {
    const { how, answer } = await curl(`${log}/Fetch`, '{"topic":"nope"}');
    expect(how).toBe("1.1 404");
    expect(answer).toMatchObject({ code: "not_found" });
  });
});
