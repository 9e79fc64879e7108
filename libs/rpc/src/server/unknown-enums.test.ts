import { create } from "@bufbuild/protobuf";
import { CreateTopicRequestSchema } from "@tidemark/proto/admin/v1";
import { FetchRequestSchema, Format, Position, ProduceRequestSchema } from "@tidemark/proto/log/v1";
import { describe, expect, test } from "vitest";
import { lookForUnknownEnums } from "./unknown-enums.ts";

const inFetch = lookForUnknownEnums(FetchRequestSchema);
const fetch = (init: Parameters<typeof create<typeof FetchRequestSchema>>[1]) =>
  inFetch?.(create(FetchRequestSchema, init));

describe("values of enums", () => {
  test("that are known, or not set, are no problem", () => {
    const latest = { start: { case: "position", value: Position.LATEST } } as const;
    const offset = { start: { case: "offset", value: 99n } } as const;
    expect(fetch({ format: Format.TEXT, partitions: [latest, offset, {}] })).toBeUndefined();
    expect(fetch({})).toBeUndefined();
  });

  test("that are not known are named, with those that are", () => {
    expect(fetch({ format: 99 as Format })).toBe(
      "format = 99 is no value of tidemark.log.v1.Format that this process knows: " +
        "FORMAT_BYTES = 1, FORMAT_TEXT = 2, FORMAT_JSON = 3, FORMAT_BATCHES = 4.",
    );
  });

  test("are looked for inside of lists and of what is one of several", () => {
    const unknown = { start: { case: "position", value: 7 as Position } } as const;
    expect(fetch({ partitions: [{}, unknown] })).toMatch(/^position = 7 is no value of tidemark.log.v1.Position/);
  });

  test("are left to others where those have a reason of their own", () => {
    const request = create(ProduceRequestSchema, { codec: 99 as never });
    expect(lookForUnknownEnums(ProduceRequestSchema)?.(request)).toBeUndefined();
  });

  test("are not looked for where there are none, nor in JSON of people", () => {
    expect(lookForUnknownEnums(CreateTopicRequestSchema)).toBeUndefined();
    const json = { kind: { case: "nullValue" as const, value: 5 as never } };
    const record = { valueForm: { case: "json", value: json } } as never;
    expect(
      lookForUnknownEnums(ProduceRequestSchema)?.(create(ProduceRequestSchema, { records: [record] })),
    ).toBeUndefined();
  });
});
