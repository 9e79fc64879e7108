import {
  create,
  createFileRegistry,
  type DescField,
  type DescMessage,
  fromBinary,
  ScalarType,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { below, createSeededRandom, type Random } from "@tidemark/runtime";
import { expect, test } from "vitest";
import { readImage } from "../reflection/image.ts";
import { codecFor } from "./codecs.ts";
import { flatten } from "./wire-bytes.ts";

/** Values of each type at its edges, its zero first. */
const scalars: Partial<Record<ScalarType, readonly unknown[]>> = {
  [ScalarType.STRING]: ["", "a", "wörld 🌊".repeat(20)],
  [ScalarType.BYTES]: [new Uint8Array(0), Uint8Array.of(0, 255), new Uint8Array(3000).fill(7)],
  [ScalarType.BOOL]: [false, true],
  [ScalarType.DOUBLE]: [0, -1.5],
  [ScalarType.INT32]: [0, 1, -1, 2 ** 31 - 1, -(2 ** 31)],
  [ScalarType.UINT32]: [0, 1, 127, 128, 2 ** 32 - 1],
  [ScalarType.INT64]: [0n, 1n, -1n, 2n ** 53n, 2n ** 63n - 1n, -(2n ** 63n)],
  [ScalarType.UINT64]: [0n, 128n, 2n ** 53n, 2n ** 64n - 1n],
};

/** An init in which each field is there in about two of three cases. */
function initOf(schema: DescMessage, random: Random, depth = 0): Record<string, unknown> {
  const init: Record<string, unknown> = {};
  for (const member of schema.members) {
    if (below(random, 3) === 0) continue;
    if (member.kind === "oneof") {
      const field = member.fields[below(random, member.fields.length)]!;
      init[member.localName] = { case: field.localName, value: oneValue(field, random, depth) };
    } else if (member.fieldKind === "list") {
      init[member.localName] = Array.from({ length: below(random, 3) }, () => oneValue(member, random, depth));
    } else if (member.fieldKind === "map") {
      init[member.localName] = { key: oneValue(member, random, depth) };
    } else if (member.message === undefined || depth < 4) {
      init[member.localName] = oneValue(member, random, depth);
    }
  }
  return init;
}

function oneValue(field: DescField, random: Random, depth: number): unknown {
  // A Struct is kept as plain JSON.
  if (field.message?.typeName === "google.protobuf.Struct") return { key: "value" };
  if (field.message !== undefined) return depth < 4 ? initOf(field.message, random, depth + 1) : {};
  if (field.enum !== undefined) return field.enum.values[below(random, field.enum.values.length)]!.number;
  const values = scalars[field.scalar] ?? [0];
  return values[below(random, values.length)];
}

const files = createFileRegistry(fromBinary(FileDescriptorSetSchema, readImage()));
const spoken = [...files].flatMap((file) =>
  file.kind === "service" ? file.methods.flatMap(({ input, output }) => [input, output]) : [],
);
const schemas = [...new Map(spoken.map((schema) => [schema.typeName, schema])).values()];

test("every message of every call is encoded to the bytes of protobuf-es, from its init and from itself", () => {
  expect(schemas.length).toBeGreaterThan(80);
  const random = createSeededRandom(1);
  for (const schema of schemas) {
    const codec = codecFor(schema);
    for (let round = 0; round < 30; round++) {
      const init = initOf(schema, random);
      const message = create(schema, init);
      const expected = Buffer.from(toBinary(schema, message));
      expect(flatten(codec.encode(init)).equals(expected), schema.typeName).toBe(true);
      expect(flatten(codec.encode(message)).equals(expected), schema.typeName).toBe(true);
    }
  }
});
