import { Outcome, type Producer, Reason, type RecordOutcome, type RecordToSend, TidemarkError } from "@tidemark/client";
import { createLineSplitter } from "./lines.ts";
import type { Tally } from "./tally.ts";

/** How lines become records. */
export interface LineRules {
  readonly topic: string;
  /** What stands before the first of these is the key. Undefined: lines have no keys. */
  readonly keySeparator: Buffer | undefined;
  /** Absent: by key, else as the producer chooses. */
  readonly partition: number | undefined;
  readonly lineBytesMax: number;
}

/** A line above it has an outcome of its own, so that it can be named when it fails. */
const namedAboveBytes = 64 * 1024;

/**
 * Gives every line of `input` to the producer, and never more than its buffer takes. Resolves when all are given, or
 * `signal` is aborted; the outcomes come into `tally` until the producer is closed.
 */
export async function produceLines(
  input: AsyncIterable<Uint8Array>,
  producer: Pick<Producer, "enqueue" | "writable">,
  { topic, keySeparator, partition, lineBytesMax }: LineRules,
  {
    tally,
    onRead,
    signal,
  }: { readonly tally: Tally; readonly onRead: (bytes: number) => void; readonly signal: AbortSignal },
): Promise<void> {
  let line = 0;

  const give = (record: RecordToSend, bytes: number) => {
    const at = line;
    const settle = bytes > namedAboveBytes ? (outcome: RecordOutcome) => tally.countLine(outcome, at) : tally.count;
    producer.enqueue(topic, partition === undefined ? record : { ...record, partition }, settle);
  };

  const splitter = createLineSplitter(lineBytesMax, {
    onLine(bytes) {
      line++;
      const at =
        keySeparator === undefined
          ? -1
          : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(keySeparator);
      if (keySeparator === undefined || at === -1) give({ value: bytes }, bytes.length);
      else give({ key: bytes.subarray(0, at), value: bytes.subarray(at + keySeparator.length) }, bytes.length);
    },
    onLongLine(length) {
      line++;
      tally.skipLine(tooLong(length, lineBytesMax), line);
    },
  });

  try {
    for await (const chunk of input) {
      splitter.push(chunk);
      onRead(chunk.length);
      await producer.writable(signal);
    }
    if (!signal.aborted) splitter.end();
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function tooLong(length: number, lineBytesMax: number): TidemarkError {
  return new TidemarkError({
    reason: Reason.MESSAGE_TOO_LARGE,
    message: `The line has ${length} bytes, above the ${lineBytesMax} that any topic can take in one message`,
    outcome: Outcome.NOT_APPLIED,
  });
}
