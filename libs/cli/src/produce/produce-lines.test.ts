import type { BytesOrText, Producer, RecordOutcome, RecordToSend } from "@tidemark/client";
import { describe, expect, test } from "vitest";
import { type LineRules, produceLines } from "./produce-lines.ts";
import { createTally } from "./tally.ts";

const rules: LineRules = { topic: "t", keySeparator: undefined, partition: undefined, lineBytesMax: 100 };

/** A producer that acknowledges at once and has room while `roomFor` says so. */
function createFakeProducer(writable: Producer["writable"] = async () => undefined) {
  const given: { key: string | undefined; value: string; partition: number | undefined }[] = [];
  const text = (given: BytesOrText | null | undefined) =>
    given instanceof Uint8Array ? Buffer.from(given).toString() : (given ?? undefined);
  const producer: Pick<Producer, "enqueue" | "writable"> = {
    enqueue(_topic: string, { key, value, partition }: RecordToSend, settle: (outcome: RecordOutcome) => void) {
      given.push({ key: text(key), value: text(value) ?? "", partition });
      settle({ kind: "acknowledged", partition: partition ?? 0, offset: 0n });
      return true;
    },
    writable,
  };
  return { producer, given };
}

async function* chunksOf(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

async function run(
  input: AsyncIterable<Uint8Array>,
  given: Partial<LineRules> = {},
  signal = new AbortController().signal,
) {
  const { producer, given: records } = createFakeProducer();
  const tally = createTally();
  await produceLines(input, producer, { ...rules, ...given }, { tally, onRead: () => undefined, signal });
  return { records, tally };
}

describe("lines as records", () => {
  test("have the key that stands before the first separator, and none without one", async () => {
    const { records } = await run(chunksOf("k::v::w\n::v\nplain\n"), { keySeparator: Buffer.from("::") });
    expect(records.map(({ key, value }) => [key, value])).toEqual([
      ["k", "v::w"],
      ["", "v"],
      [undefined, "plain"],
    ]);
  });

  test("go where they were told to", async () => {
    const { records } = await run(chunksOf("a\n"), { partition: 3 });
    expect(records[0]?.partition).toBe(3);
  });

  test("fail one by one where they are too long, by the number of the line", async () => {
    const { records, tally } = await run(chunksOf(`a\n${"x".repeat(101)}\nb\n`));
    expect(records.map(({ value }) => value)).toEqual(["a", "b"]);
    expect([tally.acknowledged, tally.failed]).toEqual([2, 1]);
    expect(tally.complaints().join()).toMatch(/^line 2 \(failed, REASON_MESSAGE_TOO_LARGE\): The line has 101 bytes/);
  });
});

describe("an input without an end", () => {
  test("is read no further than the producer has room for", async () => {
    const stop = new AbortController();
    let chunks = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        chunks++;
        yield Buffer.from("line\n");
      }
    }
    const { producer } = createFakeProducer(
      (signal) =>
        new Promise((_, reject) => {
          signal?.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
        }),
    );
    const reading = produceLines(endless(), producer, rules, {
      tally: createTally(),
      onRead: () => undefined,
      signal: stop.signal,
    });
    for (let turn = 0; turn < 1000; turn++) await Promise.resolve();
    expect(chunks).toBe(1);
    stop.abort(new Error("enough"));
    await reading;
  });
});
