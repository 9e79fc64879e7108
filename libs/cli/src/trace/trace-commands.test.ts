/** `trace show` and `trace explain` as they are typed, with a Jaeger of which the test says what it answers. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runProgram } from "../program.ts";

const own = "4bf92f3577b34da6a3ce929d0e0e4736";
const linkedId = (n: number) => n.toString(16).padStart(32, "0");
const spanId = (n: number) => n.toString(16).padStart(16, "0");

/** A trace of one span of a broker, as Jaeger answers. */
function traceOf(
  traceId: string,
  more: { readonly name?: string; readonly ms?: number; readonly links?: readonly string[] } = {},
) {
  const { name = "flush", ms = 20, links = [] } = more;
  const span = {
    traceId,
    spanId: spanId(1),
    name,
    startTimeUnixNano: "1000000000",
    endTimeUnixNano: String(1_000_000_000 + ms * 1_000_000),
    links: links.map((id) => ({ traceId: id, spanId: spanId(1) })),
  };
  const resource = { attributes: [{ key: "service.instance.id", value: { stringValue: "broker-1" } }] };
  return JSON.stringify({ result: { resourceSpans: [{ resource, scopeSpans: [{ spans: [span] }] }] } });
}

type Answer = string | ((response: ServerResponse) => void);

let server: Server;
let folder: string;
let asked: string[];
/** By path; 404 for any other. */
let answers: Map<string, Answer>;
const jaeger = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

beforeEach(async () => {
  asked = [];
  answers = new Map();
  folder = mkdtempSync(join(tmpdir(), "tidemark-trace-"));
  server = createServer(({ url = "" }, response) => {
    asked.push(url);
    const answer = answers.get(new URL(url, "http://jaeger").pathname);
    if (answer === undefined) response.writeHead(404).end('{"error":{"httpCode":404,"message":"trace not found"}}');
    else if (typeof answer === "string") response.end(answer);
    else answer(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});

afterEach(async () => {
  rmSync(folder, { recursive: true });
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

async function run(...args: readonly string[]) {
  const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() };
  const told = Promise.all([text(streams.stdout), text(streams.stderr)]);
  const interrupted = new AbortController().signal;
  const code = await runProgram(["trace", ...args], { ...streams, env: {}, workingDirectory: folder, interrupted });
  streams.stdout.end();
  streams.stderr.end();
  const [stdout, stderr] = await told;
  return { code, stdout, stderr };
}

const show = (...flags: readonly string[]) => run("show", own, "--jaeger", jaeger(), ...flags);

describe("trace show", () => {
  test("draws the trace and those that it links to, eight of them at most", async () => {
    const links = Array.from({ length: 10 }, (_, index) => linkedId(index + 1));
    answers.set(`/api/v3/traces/${own}`, traceOf(own, { links: [own, ...links] }));
    for (const id of links) answers.set(`/api/v3/traces/${id}`, traceOf(id, { name: "replica fetch" }));
    const { code, stdout } = await show();
    expect(code).toBe(0);
    const heads = stdout.split("\n").filter((line) => line.startsWith("trace "));
    expect(heads.map((head) => head.slice(6, 38))).toEqual([own, ...links.slice(0, 8)]);
    // Those that are not drawn are named.
    expect(stdout).toContain(`-> links to ${links[9]} ${spanId(1)}`);
    expect(new Set(asked).size).toBe(asked.length);
  });

  test("draws those that it links to that are still there, and none where they are left out", async () => {
    answers.set(`/api/v3/traces/${own}`, traceOf(own, { links: [linkedId(1), linkedId(2)] }));
    answers.set(`/api/v3/traces/${linkedId(2)}`, traceOf(linkedId(2)));
    expect(((await show()).stdout.match(/^trace /gm) ?? []).length).toBe(2);
    expect(((await show("--no-links")).stdout.match(/^trace /gm) ?? []).length).toBe(1);
  });

  test("draws the trace also where one that it links to cannot be read, and says so", async () => {
    answers.set(`/api/v3/traces/${own}`, traceOf(own, { links: [linkedId(1), linkedId(2)] }));
    answers.set(`/api/v3/traces/${linkedId(1)}`, (response) => response.writeHead(500).end("no store"));
    answers.set(`/api/v3/traces/${linkedId(2)}`, traceOf(linkedId(2)));
    const { code, stdout, stderr } = await show();
    expect(code).toBe(0);
    expect((stdout.match(/^trace \w+/gm) ?? []).map((head) => head.slice(6))).toEqual([own, linkedId(2)]);
    expect(stderr).toContain("answered 500: no store");
    expect(stderr.split("\n")).toHaveLength(2);
  });

  test("is a picture, or JSON, where that is asked for", async () => {
    answers.set(`/api/v3/traces/${own}`, traceOf(own, { links: [linkedId(1)] }));
    answers.set(`/api/v3/traces/${linkedId(1)}`, traceOf(linkedId(1)));
    const picture = (await show("-o", "svg")).stdout;
    expect(picture).toMatch(/^<svg [^]*<\/svg>\n$/);
    expect(picture).toContain(`trace ${linkedId(1)}`);
    expect(JSON.parse((await show("-o", "json")).stdout)).toMatchObject({
      traces: [[{ traceId: own, name: "flush", startNanos: 1_000_000_000 }], [{ traceId: linkedId(1) }]],
    });
  });

  test("takes an id in capitals, and the trace of a file among others", async () => {
    const file = "spans.json";
    writeFileSync(join(folder, file), `${traceOf(linkedId(1))}\n${traceOf(own, { links: [linkedId(1)] })}\n`);
    const { code, stdout } = await run("show", own.toUpperCase(), "--file", file);
    expect(code).toBe(0);
    expect(stdout.match(/^trace \w+/gm)).toEqual([`trace ${own}`, `trace ${linkedId(1)}`]);
    expect(asked).toEqual([]);
  });

  test("says that there is no such trace", async () => {
    const { code, stdout, stderr } = await show();
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain(`no trace ${own}`);
  });

  test("says what a file is that is none, and which line was cut", async () => {
    const [whole, cut] = [traceOf(own), traceOf(linkedId(1)).slice(0, 90)];
    for (const [content, words] of [
      ["", "It is no JSON, or was cut"],
      [cut, "It is no JSON, or was cut"],
      [`${whole}\n\n${cut}`, "line 3 is none, or was cut"],
      ["[]", "It is no JSON, or was cut"],
    ] as const) {
      writeFileSync(join(folder, "cut.json"), content);
      const { code, stdout, stderr } = await run("show", own, "--file", "cut.json");
      expect([code, stdout]).toEqual([1, ""]);
      expect(stderr).toContain(words);
    }
  });
});

test.each([
  ["show", "--width", "20 to 10000", ["0", "19", "10001", "4294967295"]],
  ["explain", "--minutes", "1 to 527040", ["0", "527041", "4294967295"]],
  ["explain", "--limit", "1 to 10000", ["0", "10001", "4294967295"]],
])("trace %s takes %s from %s, and asks nobody about others", async (command, flag, range, others) => {
  for (const value of others) {
    const { code, stdout, stderr } = await run(command, own, "--jaeger", jaeger(), flag, value);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(`Write a whole number from ${range}.`);
  }
  expect(asked).toEqual([]);
  answers.set(`/api/v3/traces/${own}`, traceOf(own, { ms: 2 }));
  for (const value of range.split(" to ")) {
    expect(await run(command, own, "--jaeger", jaeger(), flag, value)).toMatchObject({ code: 0, stderr: "" });
  }
});

/** What is no answer of Jaeger's, each told in one line. */
const noAnswers: readonly (readonly [string, Answer, string])[] = [
  ["an error", (response) => response.writeHead(500).end("no store"), "answered 500: no store"],
  ["a page of somebody else", "<html>welcome</html>", "something else than"],
  ["nothing, since it is none", (response) => response.writeHead(404).end("not found\n"), "answered 404: not found"],
  ["lines for a terminal", (response) => response.writeHead(500).end("\u001b[2J\nno\n"), "500: \\u001b[2J\\u000ano"],
  [
    "half an answer",
    (response) => {
      response.writeHead(200, { "content-length": "1000" });
      response.write("{", () => response.destroy());
    },
    "does not answer",
  ],
];

describe.each(noAnswers)("where Jaeger gives %s", (_, answer, words) => {
  test("trace show says so", async () => {
    answers.set(`/api/v3/traces/${own}`, answer);
    const { code, stdout, stderr } = await show();
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain(words);
    expect(stderr.split("\n")).toHaveLength(2);
  });

  test.each(["/api/v3/services", "/api/v3/traces"])("to %s trace explain says so", async (path) => {
    answers.set("/api/v3/services", JSON.stringify({ services: ["tidemark-broker"] }));
    answers.set(path, answer);
    const { code, stdout, stderr } = await run("explain", "--jaeger", jaeger());
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain(words);
    expect(stderr.split("\n")).toHaveLength(2);
  });
});

describe("trace explain", () => {
  test("looks at the traces of each of the suite's services, each once, and of no other", async () => {
    answers.set("/api/v3/services", JSON.stringify({ services: ["shop", "tidemark-broker", "tidemark-gateway"] }));
    answers.set("/api/v3/traces", traceOf(own, { ms: 80 }));
    const { code, stdout } = await run(
      "explain",
      "--jaeger",
      jaeger(),
      "--since",
      "2027-01-31T13:00:00Z",
      "--limit",
      "7",
    );
    expect(code).toBe(0);
    expect(stdout).toContain("broker-1, disk: 80 ms, in 1 trace:");
    const searches = asked.filter((url) => url.startsWith("/api/v3/traces")).map((url) => new URL(url, jaeger()));
    expect(searches.map(({ searchParams }) => searchParams.get("query.service_name"))).toEqual([
      "tidemark-broker",
      "tidemark-gateway",
    ]);
    for (const { searchParams } of searches) {
      expect(searchParams.get("query.start_time_min")).toBe("2027-01-31T13:00:00.000Z");
      expect(searchParams.get("query.num_traces")).toBe("7");
    }
  });

  test("looks once at a trace that is named twice", async () => {
    answers.set(`/api/v3/traces/${own}`, traceOf(own, { ms: 80 }));
    const { code, stdout } = await run("explain", own, own.toUpperCase(), "--jaeger", jaeger());
    expect([code, stdout]).toEqual([0, expect.stringContaining("broker-1, disk: 80 ms, in 1 trace:")]);
    expect(asked).toHaveLength(1);
  });

  test.each(["tomorrow", "5", "-000001-01-01", "2027-31-01"])("takes %s for no time", async (since) => {
    const { code, stderr } = await run("explain", "--jaeger", jaeger(), "--since", since);
    expect(code).toBe(2);
    expect(stderr).toContain("Give a time as 2027-01-31T13:00:00Z.");
    expect(asked).toEqual([]);
  });

  test("looks at the traces that are named, and at nothing else", async () => {
    answers.set(`/api/v3/traces/${own}`, traceOf(own, { ms: 2 }));
    const { code, stdout } = await run("explain", own, "--jaeger", jaeger());
    expect([code, stdout]).toEqual([0, "Nothing took long in 1 trace.\n"]);
    expect(asked).toEqual([`/api/v3/traces/${own}`]);
  });

  test("says that there is nothing, where nobody exported anything", async () => {
    answers.set("/api/v3/services", "{}");
    expect(await run("explain", "--jaeger", jaeger())).toMatchObject({ code: 1, stdout: "" });
  });
});
