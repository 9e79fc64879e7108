import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Codec as CodecId } from "@tidemark/proto/common/v1";
import { ProduceRequestSchema } from "@tidemark/proto/log/v1";
import { describe, expect, test } from "vitest";
import { partitionOfKey } from "./partitioner.ts";
import { chooseCodec, produceProblem, splitByPartition } from "./produce-request.ts";
import { textToBytes } from "./text.ts";

const request = (init: MessageInitShape<typeof ProduceRequestSchema>) => create(ProduceRequestSchema, init);
const keyed = (key: string) => ({ keyForm: { case: "keyText" as const, value: key } });

describe("a produce request", () => {
  const batches = Uint8Array.of(1);
  test.each([
    [{ topic: "t", records: [{}] }, undefined],
    [{ topic: "t", partition: 0, batches }, undefined],
    [{ records: [{}] }, "name the topic"],
    [{ topic: "t" }, "nothing to append"],
    [{ topic: "t", partition: 0, batches, records: [{}] }, "send one of them"],
    [{ topic: "t", batches }, "name it in `partition`"],
  ])("%j has the problem: %s", (init, problem) => {
    const found = produceProblem(request(init));
    if (problem === undefined) expect(found).toBeUndefined();
    else expect(found).toContain(problem);
  });

  test("goes by keys, and as a whole to one partition for what has none", () => {
    let asked = 0;
    const topic = { partitions: () => 6, anyPartition: () => 100 + asked++ };
    const split = splitByPartition(request({ records: [keyed("a"), {}, keyed("b"), {}, keyed("a")] }), topic);
    const of = (key: string) => partitionOfKey(textToBytes(key), 6);
    expect(split.get(100)).toHaveLength(2);
    expect(split.get(of("a"))?.length).toBe(of("a") === of("b") ? 3 : 2);
    expect(asked).toBe(1);
  });

  test("goes where it says, whatever the keys", () => {
    const topic = { partitions: () => 6, anyPartition: () => 1 };
    expect([...splitByPartition(request({ partition: 4, records: [keyed("a"), {}] }), topic).keys()]).toEqual([4]);
  });

  test("names a codec that is there, or is told which is not", () => {
    const codec = { id: 1 } as never;
    expect(chooseCodec(CodecId.UNSPECIFIED, {})).toEqual({ kind: "none" });
    expect(chooseCodec(CodecId.GZIP, { gzip: codec })).toEqual({ kind: "codec", codec });
    expect(chooseCodec(CodecId.ZSTD, { gzip: codec })).toEqual({ kind: "unavailable", name: "zstd" });
    expect(chooseCodec(99 as CodecId, {})).toEqual({ kind: "unavailable", name: "99" });
  });
});
