import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { compressionGzip } from "@connectrpc/connect-node";
import { ProduceRequestSchema } from "@tidemark/proto/log/v1";
import { describe, expect, it } from "vitest";
import { bodyFormOf, countBody } from "./count-body.ts";

const limits = { messageLimitBytes: 1000, elementLimit: 10 };
const json = (records: number) => Buffer.from(JSON.stringify({ records: Array.from({ length: records }, () => ({})) }));
const proto = (records: number) => {
  const request = create(ProduceRequestSchema, { records: Array.from({ length: records }, () => ({})) });
  return Buffer.from(toBinary(ProduceRequestSchema, request));
};
const framed = (message: Buffer, flags = 0) => {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(flags);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
};

async function* piecesOf(bytes: Uint8Array, size: number): AsyncIterable<Uint8Array> {
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size);
}

/** What goes on, or the text of the refusal. */
async function counted(headers: Record<string, string>, bytes: Buffer, pieceBytes = 7): Promise<Buffer | string> {
  const form = bodyFormOf(ProduceRequestSchema, new Headers(headers), [compressionGzip]);
  if (form === undefined) throw new Error("in neither protocol");
  const out: Uint8Array[] = [];
  try {
    for await (const piece of countBody(piecesOf(bytes, pieceBytes), form, limits)) out.push(piece);
    return Buffer.concat(out);
  } catch (error) {
    return ConnectError.from(error).rawMessage;
  }
}

const types = {
  connectJson: "Application/JSON; charset=utf-8",
  connectProto: "application/proto",
  streamJson: "application/connect+json",
  streamProto: "application/connect+proto",
  web: "application/grpc-web",
  webJson: "application/grpc-web+json",
};

describe("the elements of a body", () => {
  it.each([
    [types.connectJson, json, (bytes: Buffer) => bytes],
    [types.connectProto, proto, (bytes: Buffer) => bytes],
    [types.streamJson, json, framed],
    [types.streamProto, proto, framed],
    [types.web, proto, framed],
    [types.webJson, json, framed],
  ] as const)("of %s are counted, and what has few goes on byte for byte", async (type, message, form) => {
    for (const pieceBytes of [1, 7, 1000]) {
      expect(await counted({ "content-type": type }, form(message(11)), pieceBytes)).toMatch(/more than 10 elements/);
      expect(await counted({ "content-type": type }, form(message(10)), pieceBytes)).toEqual(form(message(10)));
    }
  });

  it.each([
    [types.connectJson, "content-encoding", gzipSync(json(11))],
    [types.streamProto, "connect-content-encoding", framed(gzipSync(proto(11)), 1)],
    [types.web, "grpc-encoding", framed(gzipSync(proto(11)), 1)],
  ])("of %s are counted in what is compressed, as %s says", async (type, header, bytes) => {
    expect(await counted({ "content-type": type, [header]: "gzip" }, bytes)).toMatch(/more than 10 elements/);
  });

  it("are counted in each message of a stream, and those before it have gone on", async () => {
    const form = bodyFormOf(ProduceRequestSchema, new Headers({ "content-type": types.streamJson }), []);
    if (form === undefined) throw new Error("in neither protocol");
    const frames = [json(3), Buffer.alloc(0), json(5), json(11)].map((message) => framed(message));
    const out: Uint8Array[] = [];
    const read = async () => {
      for await (const piece of countBody(piecesOf(Buffer.concat(frames), 100), form, limits)) out.push(piece);
    };
    await expect(read()).rejects.toThrow(/more than 10 elements/);
    expect(Buffer.concat(out).subarray(0, -5)).toEqual(Buffer.concat(frames.slice(0, 3)));
  });

  it.each([
    ["is too large", types.connectJson, Buffer.concat([json(11), Buffer.alloc(1000, 0x20)])],
    ["is too large in a stream", types.streamJson, framed(Buffer.concat([json(11), Buffer.alloc(1000, 0x20)]))],
    ["breaks off", types.streamJson, framed(json(11)).subarray(0, 20)],
    ["says that it is compressed and is not", types.web, framed(proto(11), 1)],
  ])("are left to the protocol library where the message %s", async (_, type, bytes) => {
    expect(await counted({ "content-type": type, "grpc-encoding": "gzip" }, bytes)).toEqual(bytes);
  });

  it("belong to requests in Connect and gRPC-Web alone", () => {
    for (const type of ["text/plain", "application/jsonx", "application/grpc", "multipart/form-data"]) {
      expect(bodyFormOf(ProduceRequestSchema, new Headers({ "content-type": type }), [])).toBeUndefined();
    }
  });
});

describe("a number that would be stored as another one", () => {
  const inexact = Buffer.from('{"records":[{"json":[9007199254740993]}]}');

  it.each([
    [types.connectJson, {}, inexact],
    [types.connectJson, { "content-encoding": "gzip" }, gzipSync(inexact)],
    [types.streamJson, {}, framed(inexact)],
    [types.webJson, { "grpc-encoding": "gzip" }, framed(gzipSync(inexact), 1)],
  ])("is refused in %s %j, with the way out", async (type, headers, bytes) => {
    const told = await counted({ "content-type": type, ...headers }, bytes);
    expect(told).toMatch(/^The number 9007199254740993 would be stored as another one.*as a string.*as text or bytes/);
  });

  it("is none in a string, nor in protobuf", async () => {
    const text = Buffer.from('{"records":[{"text":"[9007199254740993]"}]}');
    expect(await counted({ "content-type": types.connectJson }, text)).toEqual(text);
    expect(await counted({ "content-type": types.connectProto }, inexact)).toEqual(inexact);
  });
});
