import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { type DevCluster, mustRun, runProgram, startDevCluster, waitFor } from "../src/index.ts";
import { testWith } from "../src/outside.ts";
import { kept, linesOf, root } from "./pages.ts";

const page = "grpcurl.md";
const documented = "127.0.0.1:4640";
const grpcurl = join(kept, "go", "bin", "grpcurl");
const buf = join(root, "node_modules", ".bin", "buf");

let cluster: DevCluster;

beforeAll(async () => {
  cluster = await startDevCluster({ brokers: 2 });
});

afterAll(async () => {
  await cluster.stop();
});

/** Built once by the command of the page. */
async function needGrpcurl(): Promise<void> {
  if (existsSync(grpcurl)) return;
  await mustRun("go", ["install", "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4"], {
    env: { GOBIN: join(kept, "go", "bin") },
  });
}

/** A line of the page as a shell runs it, against this cluster. */
function shell(line: string) {
  const here = line.replaceAll(documented, cluster.endpoint("gateway-1")).replace(/^npx buf/, buf);
  const path = `${join(kept, "go", "bin")}:${process.env["PATH"] ?? ""}`;
  return runProgram("bash", ["-c", here], { cwd: root, env: { PATH: path } });
}

/** What `buf curl` is to be given for the same call as a line with grpcurl. Undefined: the line calls nothing. */
function asBufCurl(line: string): string | undefined {
  const [, data, method] = /^grpcurl -plaintext (?:-d ('[^']*') )?\S+ (tidemark\.\S+)$/.exec(line) ?? [];
  if (method === undefined) return undefined;
  return `npx buf curl --protocol grpc --http2-prior-knowledge -d ${data ?? "'{}'"} http://${documented}/${method}`;
}

const isMeantToFail = (line: string) => line.includes('"missing"');

describe("the calls of the page for grpcurl", () => {
  testWith("go", "all answer, by grpcurl, buf curl and curl", async () => {
    await needGrpcurl();
    const lines = linesOf(page, "sh").filter((line) => /^(?:grpcurl|npx buf|curl) /.test(line));
    expect(lines.length).toBeGreaterThan(25);
    for (const line of lines) {
      const { code, stderr } = await shell(line);
      expect({ line, stderr, isWell: code === 0 }).toMatchObject({ isWell: !isMeantToFail(line) });
    }
    // What was made is deleted again by the last line, so the same calls can be made once more.
    for (const line of lines.filter((each) => !isMeantToFail(each)).flatMap((each) => asBufCurl(each) ?? [])) {
      const { code, stderr } = await shell(line);
      expect({ line, stderr, code }).toMatchObject({ code: 0 });
    }
  });

  testWith("go", "round what is beyond 2^53 in JSON before it leaves them; plain HTTP refuses it", async () => {
    await needGrpcurl();
    const call = (method: string, request: string) =>
      mustRun(grpcurl, ["-plaintext", "-d", request, cluster.endpoint("gateway-1"), `tidemark.${method}`]);
    const values = ['"json":12345678901234567890', '"json":"12345678901234567890"', '"text":"12345678901234567890"'];
    const requestOf = (value: string) => `{"topic":"exact","partition":0,"records":[{${value}}]}`;
    await call("admin.v1.AdminService/CreateTopic", '{"topic":"exact","partitions":1}');
    for (const value of values) await call("log.v1.LogService/Produce", requestOf(value));

    const produce = `http://${cluster.endpoint("gateway-1")}/tidemark.log.v1.LogService/Produce`;
    const headers = { "content-type": "application/json" };
    const statuses: number[] = [];
    for (const value of values) {
      const answer = await fetch(produce, { method: "POST", headers, body: requestOf(value) });
      statuses.push(answer.status);
    }
    expect(statuses).toEqual([400, 200, 200]);

    const fetched = await call("log.v1.LogService/Fetch", '{"topic":"exact","format":"FORMAT_TEXT"}');
    expect(Array.from(fetched.matchAll(/"text": (".*")/g), ([, text = ""]) => JSON.parse(text) as string)).toEqual([
      "12345678901234567000",
      '"12345678901234567890"',
      "12345678901234567890",
      '"12345678901234567890"',
      "12345678901234567890",
    ]);
  });

  testWith("go", "fail with the reason, and with the leader, decoded", async () => {
    await needGrpcurl();
    const [failing = ""] = linesOf(page, "sh").filter(isMeantToFail);
    const told = await shell(failing);
    expect(told.code).toBe(64 + 5);
    const documentedError = linesOf(page, "").join("\n");
    expect(documentedError).toContain("REASON_UNKNOWN_TOPIC");
    expect(told.stderr).toContain(documentedError);

    await mustRun(grpcurl, [
      "-plaintext",
      "-d",
      '{"topic":"led","partitions":1}',
      cluster.endpoint("gateway-1"),
      "tidemark.admin.v1.AdminService/CreateTopic",
    ]);
    const brokers = [1, 2].map((id) => cluster.endpoint(`broker-${id}`));
    const request = '{"topic":"led","partition":0,"records":[{"text":"x"}]}';
    const produceAtEach = () =>
      Promise.all(
        brokers.map((broker) =>
          runProgram(grpcurl, ["-plaintext", "-d", request, broker, "tidemark.log.v1.LogService/Produce"]),
        ),
      );
    // The leader is one of them once it has heard of the topic.
    let runs = await produceAtEach();
    await waitFor("one of them to lead", async () => {
      if (!runs.some(({ code }) => code === 0)) runs = await produceAtEach();
      return runs.some(({ code }) => code === 0);
    });
    const leader = runs.findIndex(({ code }) => code === 0);
    const other = runs.find(({ code }) => code !== 0);
    expect(other?.stderr).toContain('"reason": "REASON_NOT_LEADER"');
    expect(other?.stderr).toContain(`"endpoint": "${brokers[leader]}"`);
  });
});
