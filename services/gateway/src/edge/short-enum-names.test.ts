import { CreateTopicRequestSchema } from "@tidemark/proto/admin/v1";
import { FetchRequestSchema, ProduceRequestSchema, SubscribeRequestSchema } from "@tidemark/proto/log/v1";
import { describe, expect, test } from "vitest";
import { createNameCompleter } from "./short-enum-names.ts";

async function* piecesOf(bytes: Uint8Array, size: number): AsyncIterable<Uint8Array> {
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size);
}

async function complete(schema: typeof FetchRequestSchema | typeof ProduceRequestSchema, text: string, limit = 1000) {
  const completer = createNameCompleter(schema);
  const out: Uint8Array[] = [];
  const body = piecesOf(Buffer.from(text), 7);
  for await (const piece of completer?.(body, { isFramed: false, limitBytes: limit }) ?? []) out.push(piece);
  return Buffer.concat(out).toString();
}

describe("short names of enums in JSON", () => {
  test("are made full, also in lists, by either name of the field, in any case of letters", async () => {
    const given = '{"topic":"t","format":"text","partitions":[{"position":"LATEST"}],"max_records":5}';
    expect(JSON.parse(await complete(FetchRequestSchema, given))).toEqual({
      topic: "t",
      format: "FORMAT_TEXT",
      partitions: [{ position: "POSITION_LATEST" }],
      max_records: 5,
    });
  });

  test("are left alone where they are somebody's own text, key or JSON", async () => {
    const record = { text: "ALL", keyText: "GZIP", json: { acks: "ALL", codec: "GZIP" } };
    const given = { topic: "ALL", records: [record], acks: "ALL", codec: "GZIP" };
    expect(JSON.parse(await complete(ProduceRequestSchema, JSON.stringify(given)))).toEqual({
      ...given,
      acks: "ACKS_ALL",
      codec: "CODEC_GZIP",
    });
  });

  test.each([
    ["names nothing short", '{"topic":"t",  "format":"FORMAT_TEXT"}'],
    ["is no JSON", '{"format":"TEXT"'],
    ["is no object", '["TEXT"]'],
  ])("change nothing in what %s", async (_, given) => {
    expect(await complete(FetchRequestSchema, given)).toBe(given);
  });

  test("are not looked for in what is too large, which goes on byte for byte", async () => {
    const given = JSON.stringify({ topic: "x".repeat(100), format: "TEXT" });
    expect(await complete(FetchRequestSchema, given, 50)).toBe(given);
  });

  test("are made full in the message of a stream, with its new length", async () => {
    const json = Buffer.from('{"topic":"t","format":"JSON"}');
    const head = Buffer.from([0, 0, 0, 0, json.length]);
    const completer = createNameCompleter(SubscribeRequestSchema);
    const out: Uint8Array[] = [];
    const body = piecesOf(Buffer.concat([head, json]), 4);
    for await (const piece of completer?.(body, { isFramed: true, limitBytes: 1000 }) ?? []) out.push(piece);
    const framed = Buffer.concat(out);
    expect(framed.readUInt32BE(1)).toBe(framed.length - 5);
    expect(JSON.parse(framed.subarray(5).toString())).toEqual({ topic: "t", format: "FORMAT_JSON" });
  });

  test("are not looked for in requests that have no enums", () => {
    expect(createNameCompleter(CreateTopicRequestSchema)).toBeUndefined();
  });
});
