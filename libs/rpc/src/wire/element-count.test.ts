import { create, toBinary } from "@bufbuild/protobuf";
import { StructSchema, ValueSchema } from "@bufbuild/protobuf/wkt";
import { ConfigureTopicRequestSchema, ElectLeadersRequestSchema } from "@tidemark/proto/admin/v1";
import { FetchRequestSchema, ProduceRequestSchema } from "@tidemark/proto/log/v1";
import { describe, expect, test } from "vitest";
import { countElements } from "./element-count.ts";

/** Counts though the bytes are so few that they cannot be above any limit that is in use. */
const count = (schema: Parameters<typeof countElements>[0], bytes: Uint8Array, limit = 0) =>
  countElements(schema, bytes, Math.min(limit, bytes.length - 1));
const many = <Value>(length: number, value: Value) => Array.from({ length }, () => value);

describe("the elements of a message", () => {
  test("are its entries of lists and maps, and the messages inside of them, not what stands once", () => {
    const json = {
      kind: { case: "listValue", value: { values: many(4, { kind: { case: "boolValue", value: true } }) } },
    };
    const records = [
      { keyText: "k", valueForm: { case: "text", value: "v" } },
      { valueForm: { case: "json", value: json } },
    ];
    const bytes = toBinary(ProduceRequestSchema, create(ProduceRequestSchema, { topic: "t", records } as never));
    // Two records, the JSON of one, its list, and the four values.
    expect(countElements(ProduceRequestSchema, bytes, 8)).toBe(8);
    expect(countElements(ProduceRequestSchema, bytes, 7)).toBe(8);
  });

  test("are counted in the values of maps, packed lists and lists of text too", () => {
    const values = Object.fromEntries(
      many(3, "").map((_, index) => [`k${index}`, { kind: { case: "nullValue", value: 0 } }]),
    );
    const struct = toBinary(StructSchema, create(StructSchema, { fields: values } as never));
    expect(countElements(StructSchema, struct, 6)).toBe(6);
    const elect = toBinary(
      ElectLeadersRequestSchema,
      create(ElectLeadersRequestSchema, { partitions: [1, 300, 70_000] }),
    );
    expect(countElements(ElectLeadersRequestSchema, elect, 4)).toBe(3);
    const configure = create(ConfigureTopicRequestSchema, { topic: "t", set: { a: "1" }, unset: ["b", "c"] } as never);
    expect(countElements(ConfigureTopicRequestSchema, toBinary(ConfigureTopicRequestSchema, configure), 3)).toBe(3);
  });

  test("are fields that are not known, also in groups", () => {
    // Field 1000 as a varint, a fixed32 and a group that holds one more.
    const unknown = Uint8Array.of(0xc0, 0x3e, 1, 0xc5, 0x3e, 1, 2, 3, 4, 0xc3, 0x3e, 0xc0, 0x3e, 1, 0xc4, 0x3e);
    expect(count(FetchRequestSchema, unknown, 4)).toBe(4);
  });

  test("are not counted further than the limit, nor where they cannot be above it", () => {
    const bytes = Uint8Array.from(many(1000, [fetchPartitionTag, 0]).flat());
    expect(countElements(FetchRequestSchema, bytes, 10)).toBe(11);
    expect(countElements(FetchRequestSchema, bytes, 2000)).toBe(0);
  });

  test("of what is no message end somewhere", () => {
    let state = 7;
    const next = () => (state = (state * 1103515245 + 12345) % 2 ** 31) >>> 16;
    for (let round = 0; round < 2000; round++) {
      const bytes = Uint8Array.from(many(1 + (next() % 40), 0), () => next() & 0xff);
      expect(count(ProduceRequestSchema, bytes, 0)).toBeLessThanOrEqual(bytes.length);
    }
    // Deeper than the decoder goes.
    let deep = toBinary(ValueSchema, create(ValueSchema));
    for (let depth = 0; depth < 300; depth++)
      deep = Uint8Array.of(
        0x32,
        ...varint(deep.length + 1 + varint(deep.length).length),
        0x0a,
        ...varint(deep.length),
        ...deep,
      );
    expect(countElements(ValueSchema, deep, 150)).toBeLessThanOrEqual(150);
  });
});

const fetchPartitions = FetchRequestSchema.fields.find(({ localName }) => localName === "partitions");
const fetchPartitionTag = ((fetchPartitions?.number ?? 0) << 3) | 2;

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}
