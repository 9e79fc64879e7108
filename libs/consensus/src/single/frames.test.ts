import { crc32c } from "@tidemark/compression";
import { createMemoryDisk } from "@tidemark/disk";
import { revision } from "@tidemark/ids";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import type { StoreChange, StoredValue } from "../store/store-link.ts";
import { MalformedBytesError } from "./byte-reader.ts";
import { encodeFrame, encodeHeader, type FrameKind, readFrame } from "./frames.ts";
import { headerBytes } from "./layout.ts";
import {
  decodeBatches,
  decodeSnapshotPart,
  encodeBatches,
  encodeSnapshotEnd,
  encodeSnapshotParts,
} from "./payloads.ts";
import { directory, openOn, path } from "./testing.ts";

const codec = { salt: Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8]), crc32c };

const bytes = fc.uint8Array({ maxLength: 300 });
const key = fc.string({ unit: "binary", maxLength: 60 });
const change: fc.Arbitrary<StoreChange> = fc.oneof(
  fc.record({ kind: fc.constant("put" as const), key, value: bytes }),
  fc.record({ kind: fc.constant("put" as const), key, value: bytes, ephemeral: fc.constant(true) }),
  fc.record({ kind: fc.constant("delete" as const), key }),
);
const batch = fc.record({
  revision: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }).map(revision),
  changes: fc.array(change, { maxLength: 10 }),
});

function concatenate(chunks: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(chunks.flatMap((chunk) => [...chunk]));
}

describe("payloads", () => {
  it("of batches are read back as they were written", () => {
    fc.assert(
      fc.property(fc.array(batch, { maxLength: 5 }), (batches) => {
        expect(decodeBatches(encodeBatches(batches))).toEqual(batches);
      }),
    );
  });

  it("of snapshots are read back as they were written, whatever their size", () => {
    const entry = fc.tuple(key, fc.record({ value: bytes, held: fc.boolean() }));
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 20 }), (list) => {
        const entries = new Map<string, StoredValue>(list);
        const found = new Map<string, StoredValue>();
        for (const part of encodeSnapshotParts(entries)) decodeSnapshotPart(part, found);
        expect(found).toEqual(entries);
      }),
    );
    const large = new Map([...Array(30).keys()].map((n) => [`/${n}`, { value: new Uint8Array(60_000), held: false }]));
    const parts = [...encodeSnapshotParts(large)];
    expect(parts.length).toBeGreaterThan(4);
    const found = new Map<string, StoredValue>();
    for (const part of parts) decodeSnapshotPart(part, found);
    expect(found).toEqual(large);
  });

  it("that were cut anywhere are malformed, never something else", () => {
    const payload = encodeBatches([
      { revision: revision(7n), changes: [{ kind: "put", key: "/a", value: Uint8Array.from([1, 2, 3]) }] },
    ]);
    for (let length = 1; length < payload.length; length++) {
      expect(() => decodeBatches(payload.subarray(0, length))).toThrow(MalformedBytesError);
    }
  });

  it("of random bytes never make the decoder fail in another way", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (payload) => {
        try {
          decodeBatches(payload);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedBytesError);
        }
      }),
    );
  });
});

describe("a frame", () => {
  const payload = Uint8Array.from([9, 9, 9]);
  const written = concatenate(encodeFrame({ kind: "mark", payload, position: 10, flushed: 4 }, codec));
  const file = Uint8Array.from([...new Uint8Array(10), ...written, ...written]);
  const readAt = async (position: number, length: number) => file.subarray(position, position + length);

  it("is read back where it was written", async () => {
    expect(await readFrame(readAt, 10, codec)).toEqual({
      kind: "mark",
      payload,
      position: 10,
      flushed: 4,
      end: 10 + written.length,
    });
  });

  it("is none at another place, or of another file", async () => {
    expect(await readFrame(readAt, 10 + written.length, codec)).toBeUndefined();
    expect(await readFrame(readAt, 10, { ...codec, salt: new Uint8Array(8) })).toBeUndefined();
  });
});

describe("a file whose checksums are right and whose content is not", () => {
  const at = (number: bigint) =>
    encodeBatches([{ revision: revision(number), changes: [{ kind: "delete", key: "/a" }] }]);
  const end = (entries: number) => encodeSnapshotEnd({ revision: revision(5n), entries });

  async function open(frames: readonly (readonly [FrameKind, Uint8Array])[]) {
    const chunks: Uint8Array[] = [encodeHeader(codec)];
    let position = headerBytes;
    for (const [kind, payload] of frames) {
      const frame = concatenate(encodeFrame({ kind, payload, position, flushed: position }, codec));
      chunks.push(frame);
      position += frame.length;
    }
    const disk = createMemoryDisk();
    await disk.makeDirectory(directory);
    disk.put(path, concatenate(chunks));
    return openOn(disk).then(
      async (store) => {
        await store.close();
        return "opened";
      },
      (error: unknown) => error,
    );
  }

  it("opens where both are right", async () => {
    expect(
      await open([
        ["snapshotEnd", end(0)],
        ["batches", at(6n)],
        ["mark", new Uint8Array(0)],
        ["batches", at(7n)],
      ]),
    ).toBe("opened");
  });

  test.each<[string, readonly (readonly [FrameKind, Uint8Array])[]]>([
    [
      "a revision is left out",
      [
        ["snapshotEnd", end(0)],
        ["batches", at(7n)],
      ],
    ],
    [
      "a revision comes twice",
      [
        ["snapshotEnd", end(0)],
        ["batches", at(6n)],
        ["batches", at(6n)],
      ],
    ],
    ["an entry of the snapshot is missing", [["snapshotEnd", end(1)]]],
    ["batches stand in the snapshot", [["batches", at(6n)]]],
    [
      "the snapshot comes twice",
      [
        ["snapshotEnd", end(0)],
        ["snapshotEnd", end(0)],
      ],
    ],
    [
      "a batch does not decode",
      [
        ["snapshotEnd", end(0)],
        ["batches", Uint8Array.from([1, 2, 3])],
      ],
    ],
  ])("is refused where %s", async (_, frames) => {
    expect(await open(frames)).toMatchObject({ code: "MALFORMED", path });
  });

  it("is refused where the snapshot has no end", async () => {
    expect(await open([])).toMatchObject({ code: "DAMAGED", path });
  });
});
