import { create, fromBinary, isMessage, toBinary } from "@bufbuild/protobuf";
import { StructSchema, ValueSchema } from "@bufbuild/protobuf/wkt";
import { ConfigureTopicRequestSchema, ElectLeadersRequestSchema } from "@tidemark/proto/admin/v1";
import { FetchRequestSchema, ProduceRequestSchema } from "@tidemark/proto/log/v1";
import { createSeededRandom } from "@tidemark/runtime";
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
    const configure = create(ConfigureTopicRequestSchema, { topic: "t", set: { a: "1" }, unset: ["b", "c"] });
    expect(countElements(ConfigureTopicRequestSchema, toBinary(ConfigureTopicRequestSchema, configure), 3)).toBe(3);
  });

  test("are fields that are not known, a group of them as one", () => {
    // Field 1000 as a varint, a fixed32 and a group that holds one more.
    const unknown = Uint8Array.of(0xc0, 0x3e, 1, 0xc5, 0x3e, 1, 2, 3, 4, 0xc3, 0x3e, 0xc0, 0x3e, 1, 0xc4, 0x3e);
    expect(count(FetchRequestSchema, unknown, 3)).toBe(3);
  });

  test("are not counted further than the limit, nor where they cannot be above it", () => {
    const bytes = Uint8Array.from(many(1000, [fetchPartitionTag, 0]).flat());
    expect(countElements(FetchRequestSchema, bytes, 10)).toBe(11);
    expect(countElements(FetchRequestSchema, bytes, 2000)).toBe(0);
  });

  const hidden = many(400, [recordsTag, 0]).flat();
  const partitionTag = 2 << 3;
  const nestedInMaps = (depth: number): number[] => {
    let value = [listValueTag, ...varint(400 * 2), ...many(400, [(1 << 3) | 2, 0]).flat()];
    for (let level = 0; level < depth; level++) {
      const entry = [(2 << 3) | 2, ...varint(value.length), ...value];
      const struct = [(1 << 3) | 2, ...varint(entry.length), ...entry];
      value = [structValueTag, ...varint(struct.length), ...struct];
    }
    return value;
  };
  test.each<readonly [string, Parameters<typeof countElements>[0], readonly number[]]>([
    ["behind a number that says it has a length", ProduceRequestSchema, [partitionTag | 2, ...varint(800), ...hidden]],
    ["in a message that says it is a number", ProduceRequestSchema, [recordsTag & ~7, 0, ...hidden]],
    [
      "in a message that reaches past the one around it",
      ProduceRequestSchema,
      [recordsTag, 0, recordsTag, 2, (5 << 3) | 2, ...varint(500), ...many(250, [0x7a, 0]).flat()],
    ],
    [
      "behind a group that holds text as a number",
      ProduceRequestSchema,
      [0xc3, 0x3e, 1 << 3, 100, 0xc4, 0x3e, ...hidden],
    ],
    [
      "behind a number of eleven bytes that is not known",
      ProduceRequestSchema,
      [0x78, ...many(11, 0x80), 0, ...hidden],
    ],
    ["in maps within maps", ValueSchema, nestedInMaps(40)],
  ])("are found where they hide: %s", (_, schema, bytes) => {
    const hostile = Uint8Array.from(bytes);
    expect(elementsOf(fromBinary(schema, hostile))).toBeGreaterThan(200);
    expect(countElements(schema, hostile, 200)).toBe(201);
  });

  test("are never fewer than the decoder makes, whatever the bytes", () => {
    const random = createSeededRandom(1);
    const draw = (below: number) => Math.floor(random.next() * below);
    let decoded = 0;
    for (let round = 0; round < 20_000; round++) {
      const schema =
        [ProduceRequestSchema, ElectLeadersRequestSchema, ConfigureTopicRequestSchema, ValueSchema][draw(4)] ??
        ValueSchema;
      const pieces = many(draw(12), 0).flatMap(() => {
        const tag = varint(((1 + draw(9)) << 3) | draw(6));
        return draw(3) === 0 ? tag : [...tag, draw(5), ...many(draw(4), 0).map(() => draw(256))];
      });
      const bytes = Uint8Array.from(pieces);
      let made: number;
      try {
        made = elementsOf(fromBinary(schema, bytes)) - 1;
      } catch {
        continue;
      }
      decoded++;
      expect(
        countElements(schema, bytes, bytes.length - 1),
        `${schema.typeName} ${Buffer.from(bytes).toString("hex")}`,
      ).toBeGreaterThanOrEqual(Math.min(made, bytes.length));
    }
    expect(decoded).toBeGreaterThan(1000);
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
    expect(countElements(ValueSchema, deep, 150)).toBe(151);
  });
});

const fetchPartitions = FetchRequestSchema.fields.find(({ localName }) => localName === "partitions");
const fetchPartitionTag = ((fetchPartitions?.number ?? 0) << 3) | 2;

const recordsTag = (4 << 3) | 2;
const structValueTag = (5 << 3) | 2;
const listValueTag = (6 << 3) | 2;

/** What the decoder made of a message's bytes: the messages, the entries of lists and maps, and the fields it does not know. */
function elementsOf(made: unknown): number {
  if (typeof made !== "object" || made === null || made instanceof Uint8Array) return 0;
  const sum = (values: readonly unknown[], each: number) =>
    values.reduce((total: number, value) => total + (isMessage(value) ? 0 : each) + elementsOf(value), 0);
  if (Array.isArray(made)) return sum(made, 1);
  if ("case" in made) return "value" in made ? elementsOf(made.value) : 0;
  if (!isMessage(made)) return Object.values(made).reduce<number>((total, value) => total + 1 + elementsOf(value), 0);
  const { $unknown: unknown = [], ...fields } = made;
  return 1 + unknown.length + sum(Object.values(fields), 0);
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}
