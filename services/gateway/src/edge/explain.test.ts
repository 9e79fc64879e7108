import { gzipSync } from "node:zlib";
import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { compressionGzip } from "@connectrpc/connect-node";
import { type ErrorDetail, ErrorDetailSchema, Outcome, Reason } from "@tidemark/proto/common/v1";
import { StatusSchema } from "@tidemark/proto/google/rpc/status";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startWorld, type World } from "../testing/world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

const fetchPath = "/tidemark.log.v1.LogService/Fetch";
const subscribePath = "/tidemark.log.v1.LogService/Subscribe";
const producePath = "/tidemark.log.v1.LogService/Produce";
const framePrefixBytes = 5;
const trailers = 0b1000_0000;
const endOfStream = 0b10;

/** What is no message of any type: a tag that never ends. */
const noMessage = Buffer.alloc(6, 0xff);
/** A field that is not known, whose name is so long that the error is worth compressing. */
const longName = JSON.stringify({ ["x".repeat(4000)]: 1 });

function frame(body: Uint8Array | string, { flags = 0, length }: { flags?: number; length?: number } = {}): Buffer {
  const bytes = Buffer.from(body as string);
  const prefix = Buffer.alloc(framePrefixBytes);
  prefix[0] = flags;
  prefix.writeUInt32BE(length ?? bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}

async function post(path: string, headers: Readonly<Record<string, string>>, body: Uint8Array | string) {
  const response = await globalThis.fetch(`http://127.0.0.1:${world.port}${path}`, { method: "POST", headers, body });
  return { status: response.status, headers: response.headers, bytes: Buffer.from(await response.arrayBuffer()) };
}

/** The trailers that end an answer in gRPC-Web: the only thing in it, and not compressed. */
function readTrailers(bytes: Buffer): ReadonlyMap<string, string> {
  expect([bytes[0], bytes.readUInt32BE(1)]).toEqual([trailers, bytes.length - framePrefixBytes]);
  const lines = bytes.subarray(framePrefixBytes).toString().trimEnd().split("\r\n");
  return new Map(
    lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()] as const),
  );
}

function detailIn(told: ReadonlyMap<string, string>): ErrorDetail | undefined {
  const status = fromBinary(StatusSchema, Buffer.from(told.get("grpc-status-details-bin") ?? "", "base64"));
  expect(status).toMatchObject({
    code: Number(told.get("grpc-status")),
    message: decodeURIComponent(told.get("grpc-message") ?? ""),
  });
  return status.details.map((packed) => anyUnpack(packed, ErrorDetailSchema)).find((detail) => detail !== undefined);
}

const invalid = Reason.INVALID_ARGUMENT;

describe("a request in gRPC-Web that cannot be read ends with reason and details", () => {
  const proto = "application/grpc-web+proto";
  const json = "application/grpc-web+json";
  it.each([
    { says: "no frame at all", body: Buffer.from("garbage"), reason: Reason.MESSAGE_TOO_LARGE, text: "rpc.receive" },
    { says: "no message", body: frame(noMessage), reason: invalid, text: "cannot be read: parse binary" },
    { says: "a frame that breaks off", body: frame("ab", { length: 9 }), reason: invalid, text: "incomplete" },
    { says: "half of a prefix", body: Buffer.from([0, 0]), reason: invalid, text: "incomplete" },
    { says: "nothing", body: Buffer.alloc(0), reason: Reason.UNSUPPORTED, text: "missing input message" },
    { says: "two messages", body: Buffer.concat([frame(""), frame("")]), reason: Reason.UNSUPPORTED, text: "extra" },
    { says: "no JSON", type: json, body: frame("{"), reason: invalid, text: "JSON" },
    {
      says: "a misspelt field",
      type: json,
      body: frame('{"topik":1}'),
      reason: invalid,
      text: 'key "topik" is unknown',
    },
    { says: "compressed and does not say how", body: frame("ab", { flags: 1 }), reason: invalid, text: "decompress" },
    {
      says: "not compressed as it says",
      headers: { "grpc-encoding": "gzip" },
      body: frame("ab", { flags: 1 }),
      reason: invalid,
      text: "decompression failed",
    },
    {
      says: "compressed in a way that is not known",
      headers: { "grpc-encoding": "zip" },
      body: frame("ab", { flags: 1 }),
      reason: Reason.UNSUPPORTED,
      text: "gzip,br",
    },
    {
      says: "larger than it may become",
      headers: { "grpc-encoding": "gzip" },
      body: frame(gzipSync(Buffer.alloc(50 * 2 ** 20)), { flags: 1 }),
      reason: Reason.MESSAGE_TOO_LARGE,
      text: "rpc.receive.max.bytes",
    },
    {
      says: "late by a time that is none",
      headers: { "grpc-timeout": "soon" },
      body: frame(""),
      reason: invalid,
      text: "timeout",
    },
    {
      says: "of so long a field that the error is compressed",
      type: json,
      headers: { "grpc-accept-encoding": "gzip" },
      body: frame(longName),
      reason: invalid,
      text: "xxx",
    },
  ])("where it is $says", async ({ type = proto, headers = {}, body, reason, text }) => {
    for (const path of [fetchPath, subscribePath]) {
      const { status, bytes } = await post(path, { "content-type": type, ...headers }, body);
      expect(status).toBe(200);
      const told = readTrailers(bytes);
      expect(detailIn(told)).toMatchObject({ reason, outcome: Outcome.NOT_APPLIED, retriable: false });
      expect(decodeURIComponent(told.get("grpc-message") ?? "")).toContain(text);
    }
  });

  it("and an error that has its details keeps them", async () => {
    const { bytes } = await post(fetchPath, { "content-type": json }, frame('{"topic":"nope"}'));
    expect(detailIn(readTrailers(bytes))).toMatchObject({ reason: Reason.UNKNOWN_TOPIC, topic: "nope" });
  });
});

it("a record whose number would change is refused, and nothing of the request is stored", async () => {
  const headers = { "content-type": "application/json" };
  const request = (json: string) => `{"topic":"orders","partition":0,"records":[{"text":"a"},{"json":${json}}]}`;
  const { status, bytes } = await post(producePath, headers, request('{"n":12345678901234567890}'));
  expect([status, JSON.parse(bytes.toString())]).toMatchObject([
    400,
    { details: [{ debug: { reason: "REASON_INVALID_ARGUMENT", outcome: "OUTCOME_NOT_APPLIED" } }, {}] },
  ]);
  expect(world.broker(1).produced).toEqual([]);
  expect((await post(producePath, headers, request('{"n":"12345678901234567890"}'))).status).toBe(200);
});

describe("a request in Connect that cannot be read was certainly not applied", () => {
  const refused = { details: [{ debug: { reason: "REASON_INVALID_ARGUMENT", outcome: "OUTCOME_NOT_APPLIED" } }, {}] };

  it.each([
    { says: "no message", headers: { "content-type": "application/proto" }, body: noMessage },
    {
      says: "of so long a field that the error is compressed",
      headers: { "content-type": "application/json", "accept-encoding": "gzip" },
      body: longName,
    },
  ])("where it is $says", async ({ headers, body }) => {
    const { status, bytes } = await post(fetchPath, headers, body);
    expect(status).toBe(400);
    expect(JSON.parse(bytes.toString())).toMatchObject({ code: "invalid_argument", ...refused });
  });

  it.each([
    { says: "no message", type: "application/connect+proto", body: frame(noMessage) },
    {
      says: "compressed and does not say how",
      type: "application/connect+json",
      body: frame("ab", { flags: 1 }),
    },
    {
      says: "of so long a field that the error is compressed",
      type: "application/connect+json",
      body: frame(longName),
    },
  ])("where a stream's is $says", async ({ type, body }) => {
    const headers = { "content-type": type, "connect-accept-encoding": compressionGzip.name };
    const { bytes } = await post(subscribePath, headers, body);
    expect([bytes[0], bytes.readUInt32BE(1)]).toEqual([endOfStream, bytes.length - framePrefixBytes]);
    expect(JSON.parse(bytes.subarray(framePrefixBytes).toString())).toMatchObject({
      error: { code: "invalid_argument", ...refused },
    });
  });
});

describe("an answer that cannot be written is of a call that was made: what it did is not known", () => {
  const request = '{"topic":"orders","partitions":[{"partition":0}]}';
  beforeAll(() => {
    // No number of JSON, and one of the message that carries it.
    const records = [{ valueForm: { case: "json", value: { kind: { case: "numberValue", value: Number.NaN } } } }];
    world.broker(1).fetch = () => ({ partitions: [{ partition: 0, records }] }) as never;
  });
  afterAll(() => world.reset());

  it("in gRPC-Web", async () => {
    const { bytes } = await post(fetchPath, { "content-type": "application/grpc-web+json" }, frame(request));
    expect(detailIn(readTrailers(bytes))).toMatchObject({ reason: Reason.INTERNAL, outcome: Outcome.UNKNOWN });
  });

  it("in Connect", async () => {
    const { bytes } = await post(fetchPath, { "content-type": "application/json" }, request);
    expect(JSON.parse(bytes.toString())).toMatchObject({
      details: [{ debug: { reason: "REASON_INTERNAL", outcome: "OUTCOME_UNKNOWN" } }, {}],
    });
  });
});
