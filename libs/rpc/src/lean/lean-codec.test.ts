import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { CreateTopicRequestSchema } from "@tidemark/proto/admin/v1";
import { ErrorDetailSchema } from "@tidemark/proto/common/v1";
import {
  FetchResponseSchema,
  ProduceRequestSchema,
  ProduceStreamRequestSchema,
  ProduceStreamResponseSchema,
  SubscribeResponseSchema,
} from "@tidemark/proto/log/v1";
import {
  FetchRequestSchema as ReplicaFetchRequestSchema,
  FetchResponseSchema as ReplicaFetchResponseSchema,
} from "@tidemark/proto/replica/v1";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { flatten } from "../wire/wire-bytes.ts";
import { createLeanCodec } from "./lean-codec.ts";

const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const text = fc.string({ unit: "grapheme", maxLength: 200 });
/** Empty, small, and on both sides of what is taken by reference. */
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 20 }),
  fc.integer({ min: 1000, max: 1050 }).map((length) => new Uint8Array(length).fill(length)),
  fc.constant(new Uint8Array(100_000).fill(7)),
);
const optional = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: undefined });
const timestamp = optional(fc.record({ seconds: int64, nanos: fc.nat(999_999_999) }));
const enumValue = fc.integer({ min: 0, max: 6 });
const error = optional(
  fc.record({
    reason: enumValue,
    retriable: fc.boolean(),
    isr: fc.array(uint32),
    topic: text,
    minIsr: optional(uint32),
  }),
);
const json = fc.oneof(
  fc.constant({ kind: { case: "nullValue", value: 0 } }),
  fc.record({ kind: fc.record({ case: fc.constant("stringValue"), value: text }) }),
);
const form = fc.oneof(
  fc.constant({ case: undefined }),
  fc.record({ case: fc.constant("value"), value: bytes }),
  fc.record({ case: fc.constant("text"), value: text }),
);
const keyForm = fc.oneof(
  fc.record({ case: fc.constant("key"), value: bytes }),
  fc.record({ case: fc.constant("keyText"), value: text }),
);
const valueForm = fc.oneof(form, fc.record({ case: fc.constant("json"), value: json }));
const headers = fc.array(fc.record({ key: text, form }), { maxLength: 3 });
const record = fc.record({ keyForm, valueForm, headers, timestamp }, { requiredKeys: [] });
const fetchedRecord = fc.record(
  { offset: int64, keyForm, valueForm, headers, timestamp, leaderEpoch: uint32 },
  { requiredKeys: [] },
);
const fetchedPartition = fc.record(
  {
    partition: uint32,
    highWatermark: int64,
    logStart: int64,
    leaderEpoch: uint32,
    records: fc.array(fetchedRecord, { maxLength: 3 }),
    batches: bytes,
    error,
    message: text,
    nextOffset: int64,
  },
  { requiredKeys: [] },
);
const start = fc.oneof(
  fc.constant({ case: undefined }),
  fc.record({ case: fc.constant("offset"), value: int64 }),
  fc.record({ case: fc.constant("position"), value: enumValue }),
);
const fetchRequest = fc.record(
  {
    topic: text,
    partitions: fc.array(fc.record({ partition: uint32, start, leaderEpoch: optional(uint32) })),
    maxBytes: uint32,
  },
  { requiredKeys: [] },
);
const produceRequest = fc.record(
  {
    topic: text,
    partition: optional(uint32),
    acks: enumValue,
    records: fc.array(record, { maxLength: 3 }),
    batches: bytes,
    codec: enumValue,
    timeoutMs: uint32,
    topicId: text,
  },
  { requiredKeys: [] },
);
const produceStreamRequest = fc.record(
  {
    sequence: uint64,
    topic: text,
    partition: uint32,
    acks: enumValue,
    batches: bytes,
    timeoutMs: uint32,
    topicId: text,
  },
  { requiredKeys: [] },
);
const fetchResponse = fc.record(
  { partitions: fc.array(fetchedPartition, { maxLength: 3 }), next: optional(fetchRequest) },
  { requiredKeys: [] },
);
const subscribeResponse = fc.record({
  frame: fc.oneof(
    fc.constant({ case: undefined }),
    fc.record({ case: fc.constant("data"), value: fetchedPartition }),
    fc.record({ case: fc.constant("caughtUp"), value: fc.record({ partition: uint32, highWatermark: int64 }) }),
    fc.record({ case: fc.constant("truncated"), value: fc.record({ partition: uint32 }) }),
  ),
});
const replicaAnswer = fc.record(
  {
    handle: uint32,
    session: uint32,
    leaderEpoch: uint32,
    content: fc.oneof(
      fc.constant({ case: undefined }),
      fc.record({
        case: fc.constant("records"),
        value: fc.record(
          { highWatermark: int64, logStart: int64, logEnd: int64, batches: bytes, bytesToCome: uint32 },
          { requiredKeys: [] },
        ),
      }),
      fc.record({
        case: fc.constant("diverging"),
        value: fc.record({ leaderEpoch: optional(uint32), endOffset: int64 }),
      }),
      fc.record({ case: fc.constant("behindLogStart"), value: int64 }),
      fc.record({ case: fc.constant("refused"), value: enumValue }),
    ),
  },
  { requiredKeys: [] },
);
const replicaFetchResponse = fc.record({ answers: fc.array(replicaAnswer, { maxLength: 3 }) });

const position = { brokerEpoch: uint32, leaderEpoch: uint32, session: uint32, flushed: int64 };
const replicaFetchRequest = fc.record(
  {
    follower: uint32,
    leader: uint32,
    creditBytes: uint32,
    maxWaitMs: uint32,
    partitions: fc.array(fc.record({ topicId: text, partition: uint32 }), { maxLength: 3 }),
    fetches: fc.array(
      fc.record({ handle: uint32, ...position, fetchOffset: int64, lastFetchedEpoch: optional(uint32) }),
      { maxLength: 40 },
    ),
    flushed: fc.array(fc.record({ handle: uint32, ...position, fetched: optional(int64) }), { maxLength: 40 }),
  },
  { requiredKeys: [] },
);
const produceStreamResponse = fc.record({
  results: fc.array(fc.record({ sequence: uint64, baseOffset: int64, leaderEpoch: uint32, error, message: text })),
});

const hot: readonly { readonly schema: DescMessage; readonly inits: fc.Arbitrary<unknown> }[] = [
  { schema: ProduceRequestSchema, inits: produceRequest },
  { schema: ProduceStreamRequestSchema, inits: produceStreamRequest },
  { schema: FetchResponseSchema, inits: fetchResponse },
  { schema: SubscribeResponseSchema, inits: subscribeResponse },
  { schema: ReplicaFetchResponseSchema, inits: replicaFetchResponse },
  { schema: ReplicaFetchRequestSchema, inits: replicaFetchRequest },
  { schema: ProduceStreamResponseSchema, inits: produceStreamResponse },
];

describe.each(hot.map(({ schema, inits }) => ({ name: schema.typeName, schema, inits })))(
  "$name",
  ({ schema, inits }) => {
    const lean = createLeanCodec(schema);

    it("is encoded to the bytes of protobuf-es, from a message and from its init", () => {
      fc.assert(
        fc.property(inits, (init) => {
          const message = create(schema, init as MessageInitShape<DescMessage>);
          const expected = Buffer.from(toBinary(schema, message));
          expect(flatten(lean.encode(message)).equals(expected)).toBe(true);
          expect(flatten(lean.encode(init as MessageInitShape<DescMessage>)).equals(expected)).toBe(true);
          expect(lean.encode(message).length).toBe(expected.length);
        }),
      );
    });

    it("is decoded to what protobuf-es decodes", () => {
      fc.assert(
        fc.property(inits, (init) => {
          const encoded = toBinary(schema, create(schema, init as MessageInitShape<DescMessage>));
          expect(lean.decode(encoded)).toEqual(fromBinary(schema, encoded));
        }),
        { numRuns: 30 },
      );
    });

    it("keeps fields that this version does not know", () => {
      const encoded = Uint8Array.of(...toBinary(schema, create(schema)), 0xfa, 0x3f, 3, 1, 2, 3, 0xf0, 0x3f, 9);
      expect([...flatten(lean.encode(lean.decode(encoded)))]).toEqual([...encoded]);
    });

    test.each([
      ["a length that runs out of the message", [0x2a, 0x7f, 1, 2]],
      ["a tag without its value", [0x08]],
      ["a field number of zero", [0x02, 0x00]],
      ["a group that never ends", [0x0b]],
    ])("refuses %s as protobuf-es does", (_, malformed) => {
      const bytes = Uint8Array.from(malformed);
      const refusal = (decode: () => unknown) => {
        try {
          decode();
        } catch (thrown) {
          return thrown instanceof Error ? [thrown.name, thrown.message] : thrown;
        }
        return "accepted";
      };
      const expected = refusal(() => fromBinary(schema, bytes));
      expect(expected).not.toBe("accepted");
      expect(refusal(() => lean.decode(bytes))).toEqual(expected);
    });
  },
);

it("leaves a message that waits to be sent as it is, whatever is encoded after it, or cannot be", () => {
  const requests = createLeanCodec(ProduceStreamRequestSchema);
  const any = hot.map(({ schema, inits }) => {
    const lean = createLeanCodec(schema);
    return inits.map((init) => ({ schema, lean, message: create(schema, init as MessageInitShape<DescMessage>) }));
  });
  fc.assert(
    fc.property(fc.array(fc.oneof(...any), { minLength: 20, maxLength: 60 }), (messages) => {
      const waiting = messages.map(({ schema, lean, message }) => {
        // It has written its topic when it comes to what it cannot write.
        expect(() => requests.encode({ sequence: -1n, topic: "half a message" })).toThrow(/uint64/);
        return { encoded: lean.encode(message), expected: Buffer.from(toBinary(schema, message)) };
      });
      for (const { encoded, expected } of waiting) expect(flatten(encoded).equals(expected)).toBe(true);
    }),
    { numRuns: 20 },
  );
});

it("copies a big field only into the frame", () => {
  const batches = new Uint8Array(100_000).fill(1);
  const encoded = createLeanCodec(ProduceStreamRequestSchema).encode({ sequence: 1n, batches });
  batches.fill(2);
  const frame = flatten(encoded);
  expect(frame.subarray(-batches.length).every((byte) => byte === 2)).toBe(true);
});

it("decodes a big field as a view of what was received", () => {
  const received = toBinary(
    FetchResponseSchema,
    create(FetchResponseSchema, { partitions: [{ batches: new Uint8Array(5000) }] }),
  );
  const [partition] = createLeanCodec(FetchResponseSchema).decode(received).partitions;
  expect(partition!.batches.buffer).toBe(received.buffer);
});

it("refuses values that protobuf-es refuses", () => {
  const lean = createLeanCodec(ProduceStreamRequestSchema);
  expect(() => lean.encode({ partition: -1 })).toThrow(/uint32/);
  expect(() => lean.encode({ partition: 2 ** 32 })).toThrow(/uint32/);
  expect(() => lean.encode({ acks: 1.5 as never })).toThrow(/int32/);
  expect(() => lean.encode({ sequence: -1n })).toThrow(/uint64/);
  const responses = createLeanCodec(ProduceStreamResponseSchema);
  expect(() => responses.encode({ results: [{ baseOffset: 2n ** 63n }] })).toThrow(/int64/);
  expect(() => lean.encode(create(ErrorDetailSchema) as never)).toThrow();
});

it("has no form for message types with maps", () => {
  expect(() => createLeanCodec(CreateTopicRequestSchema)).toThrow(/settings/);
});
