import { type DescMessage, fromJsonString, toBinary } from "@bufbuild/protobuf";
import {
  ConfigureTopicRequestSchema,
  CreateTopicRequestSchema,
  DescribeTopicsRequestSchema,
} from "@tidemark/proto/admin/v1";
import { FetchRequestSchema, ProduceRequestSchema } from "@tidemark/proto/log/v1";
import { countElements } from "@tidemark/rpc";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { countJsonElements } from "./json-elements.ts";

const count = (schema: DescMessage, text: string, limit = text.length - 1) =>
  countJsonElements(schema, Buffer.from(text), Math.min(limit, Buffer.byteLength(text) - 1));

describe("elements of a request in JSON", () => {
  test.each<readonly [string, DescMessage, string, number]>([
    ["nothing", ProduceRequestSchema, "{}", 0],
    ["scalars, whatever they hold", ProduceRequestSchema, '{"topic":"a,b{[\\"c","partition":3,"acks":"ACKS_ALL"}', 0],
    ["empty records", ProduceRequestSchema, '{"records":[{},{},{}]}', 3],
    [
      "records with fields of their own",
      ProduceRequestSchema,
      '{"records":[{"text":"x","keyText":"y"}, {"text":""}]}',
      2,
    ],
    ["records behind a byte order mark", ProduceRequestSchema, '\uFEFF{"records":[{"text":"x"},{"text":"y"}]}', 2],
    ["headers of records", ProduceRequestSchema, '{"records":[{"headers":[{"key":"k"},{"key":"l"}]}]}', 3],
    ["texts in a list", DescribeTopicsRequestSchema, '{"topics":["","",""]}', 3],
    ["JSON that is data", ProduceRequestSchema, '{"records":[{"json":{"n":1,"m":[2,3]}}]}', 1 + 1 + 1 + 2 + 2 + 1 + 2],
    ["entries of a map", ConfigureTopicRequestSchema, '{"set":{"a":"b","c":"d"},"unset":["e"]}', 3],
    ["a list twice", ProduceRequestSchema, '{"records":[{}],"records":[{}]}', 2],
    ["fields by either name", CreateTopicRequestSchema, '{"replicationFactor":3,"replication_factor":3}', 0],
    ["fields that are not known", FetchRequestSchema, '{"a":1,"b":[1,{}],"\\u0074opic":"t"}', 1 + 1 + 1 + 2 + 1 + 1],
    ["what is not expected", FetchRequestSchema, '{"topic":[[],[]]}', 1 + 2 + 2],
    ["a list that is none", ProduceRequestSchema, "[{},{}]", 1 + 2 + 2],
  ])("are counted: %s", (_, schema, text, elements) => {
    expect(count(schema, text)).toBe(elements);
  });

  it("are not looked for where there is no room for more than the limit, and no further than the limit", () => {
    const text = `{"records":[${"{},".repeat(1000)}{}]}`;
    expect(count(ProduceRequestSchema, text, 10)).toBe(11);
    expect(countJsonElements(ProduceRequestSchema, Buffer.from(text), text.length)).toBe(0);
  });

  it("are bounded however deep they lie, and where the text is no JSON", () => {
    for (const text of ["[".repeat(1000), '{"records":'.repeat(200), `{"records":[${"{".repeat(500)}`]) {
      expect(count(ProduceRequestSchema, text, 100)).toBeGreaterThan(100);
    }
    for (const text of ["", "}]}", '{"topic', '"\\', "{,,:::", '{"records":[}']) {
      expect(count(ProduceRequestSchema, text)).toBeLessThan(10);
    }
  });

  const value = fc.letrec((tie) => ({
    json: fc.oneof(
      { depthSize: "small" },
      fc.constantFrom(null, true, 1.5, 'te"x\\t', ""),
      fc.array(tie("json"), { maxLength: 4 }),
      fc.dictionary(fc.string({ maxLength: 3 }), tie("json"), { maxKeys: 4 }),
    ),
  })).json;
  const record = fc.record(
    { keyText: fc.string(), json: value, headers: fc.array(fc.constant({ key: "k" }), { maxLength: 3 }) },
    { requiredKeys: [] },
  );

  it("are never fewer than those of the binary form, and not many more", () => {
    fc.assert(
      fc.property(fc.array(record, { maxLength: 8 }), fc.constantFrom(undefined, 2), (records, indent) => {
        const text = JSON.stringify({ topic: "t", records }, undefined, indent);
        const bytes = toBinary(ProduceRequestSchema, fromJsonString(ProduceRequestSchema, text));
        const binary = countElements(ProduceRequestSchema, bytes, bytes.length - 1);
        const counted = count(ProduceRequestSchema, text);
        expect(counted).toBeGreaterThanOrEqual(binary);
        expect(counted).toBeLessThanOrEqual(2 * binary);
      }),
      { numRuns: 200 },
    );
  });
});
