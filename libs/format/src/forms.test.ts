import { create, fromJson, toJson } from "@bufbuild/protobuf";
import { FetchedRecordSchema, Format, RecordSchema } from "@tidemark/proto/log/v1";
import { type BatchHeader, encodeBatch, portableCrc32c, readBatchHeader } from "@tidemark/record";
import { describe, expect, test } from "vitest";
import {
  bytesToJson,
  bytesToText,
  jsonToBytes,
  type RecordFormat,
  textToBytes,
  toFetched,
  toProduced,
} from "./index.ts";
import { shownTimestamp } from "./timestamp.ts";

const produced = (json: object) => {
  const result = toProduced(fromJson(RecordSchema, json as never), 1_700_000_000_000);
  if (result.kind !== "ok") throw new Error(result.message);
  return result.record;
};

const header = (() => {
  const batch = encodeBatch([produced({ text: "x" })], { crc32c: portableCrc32c });
  const step = readBatchHeader(batch);
  if (step.kind !== "ok") throw new Error(step.kind);
  return step.header satisfies BatchHeader;
})();

const fetched = (record: object, format: RecordFormat) =>
  toJson(
    FetchedRecordSchema,
    toFetched({ ...produced(record), offset: 9007199254740993n as never }, header, format),
  ) as Record<string, unknown>;

describe("what people write", () => {
  test.each([
    ["text becomes its UTF-8 bytes", { text: "grün" }, textToBytes("grün")],
    ["JSON becomes JSON text", { json: { a: [1, null, "x"] } }, textToBytes('{"a":[1,null,"x"]}')],
    ["bytes stay as they are", { value: "AP8=" }, Uint8Array.of(0, 255)],
    ["no value is null", {}, null],
    ["an empty text is empty, not null", { text: "" }, new Uint8Array()],
    ["JSON null is a value", { json: null }, textToBytes("null")],
  ])("%s", (_, json, value) => {
    expect(produced(json).value).toEqual(value);
  });

  test("gets the time of the call where it names none, and keeps one that it names", () => {
    expect(produced({ text: "x" }).timestamp).toBe(1_700_000_000_000n);
    expect(produced({ text: "x", timestamp: "2020-01-01T00:00:00.123Z" }).timestamp).toBe(1577836800123n);
  });

  test("is refused with the reason where it cannot be stored", () => {
    const json = { case: "json" as const, value: { kind: { case: "numberValue" as const, value: Number.NaN } } };
    expect(toProduced(create(RecordSchema, { valueForm: json as never }), 0)).toMatchObject({ kind: "invalid" });
    const early = fromJson(RecordSchema, { text: "x", timestamp: "1969-12-31T23:59:59Z" });
    expect(toProduced(early, 0)).toEqual({ kind: "invalid", message: "timestamp lies before 1970" });
    const late = create(RecordSchema, { timestamp: { seconds: 253_402_300_800n, nanos: 0 } });
    expect(toProduced(late, 0)).toEqual({ kind: "invalid", message: "timestamp lies after the year 9999" });
  });

  test("keeps the last millisecond of the last year", () => {
    expect(produced({ text: "x", timestamp: "9999-12-31T23:59:59.999999999Z" }).timestamp).toBe(253402300799999n);
  });
});

describe("what people are handed out", () => {
  test("has offsets beyond 2^53 exact", () => {
    expect(fetched({ text: "x" }, Format.TEXT).offset).toBe("9007199254740993");
  });

  test.each([
    ["text where it is UTF-8", { text: "grün" }, Format.TEXT, { text: "grün" }],
    ["bytes where it is not", { value: "/w==" }, Format.TEXT, { value: "/w==" }],
    ["JSON where it parses", { text: '{"a":1}' }, Format.JSON, { json: { a: 1 } }],
    ["text where JSON would change a number", { text: "9007199254740993" }, Format.JSON, { text: "9007199254740993" }],
    ["text where a number is beyond all doubles", { text: "[1,-1e400]" }, Format.JSON, { text: "[1,-1e400]" }],
    ["text where it is no JSON", { text: "hello" }, Format.JSON, { text: "hello" }],
    ["bytes by default", { text: "hello" }, Format.UNSPECIFIED, { value: "aGVsbG8=" }],
    ["a key as text", { keyText: "k", text: "v" }, Format.TEXT, { keyText: "k", text: "v" }],
    ["headers as text", { headers: [{ key: "h", text: "v" }] }, Format.TEXT, { headers: [{ key: "h", text: "v" }] }],
    ["a header without a value", { headers: [{ key: "h" }] }, Format.TEXT, { headers: [{ key: "h" }] }],
  ] as const)("%s", (_, record, format, shown) => {
    expect(fetched(record, format)).toMatchObject(shown);
  });

  test("a null value is no value", () => {
    const shown = fetched({ keyText: "k" }, Format.TEXT);
    expect(Object.keys(shown).sort()).toEqual(["keyText", "offset", "timestamp"]);
  });
});

describe("a time that nobody can name", () => {
  test.each([-1n, 253_402_300_800_000n, 2n ** 63n - 1n, -(2n ** 63n)])("%s is left out", (ms) => {
    expect(shownTimestamp(ms)).toBeUndefined();
  });

  test("the last one that can be is shown", () => {
    expect(shownTimestamp(253_402_300_799_999n)).toMatchObject({ seconds: 253_402_300_799n });
  });
});

describe("text and JSON", () => {
  test("keep a byte order mark and refuse what is not UTF-8", () => {
    expect(bytesToText(textToBytes("\ufeffx"))).toBe("\ufeffx");
    expect(bytesToText(Uint8Array.of(0xc3, 0x28))).toBeUndefined();
  });

  test("come back as they went", () => {
    const value = bytesToJson(textToBytes('{"a":[1.5,true,null,"x"]}'));
    expect(value && bytesToText(jsonToBytes(value) ?? new Uint8Array())).toBe('{"a":[1.5,true,null,"x"]}');
  });
});
