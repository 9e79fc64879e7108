import { crc32c } from "@tidemark/compression";
import { Acks, LogService } from "@tidemark/proto/log/v1";
import { encodeBatch } from "@tidemark/record";
import { openRawStream, type RpcChannel } from "@tidemark/rpc";
import { createDeferred } from "@tidemark/runtime";

export const recordBytes = 200;

/** How many records a batch of about so many bytes has. */
export function recordsIn(bytes: number): number {
  return Math.max(1, Math.floor(bytes / recordBytes));
}

/** A batch of about so many bytes, of records of 200 B, as a producer encodes it. */
export function batchOf(bytes: number): Uint8Array {
  const value = new Uint8Array(recordBytes - 12).fill(120);
  const records = Array.from({ length: recordsIn(bytes) }, () => ({
    timestamp: 1_700_000_000_000n,
    key: null,
    value,
    headers: [],
  }));
  return encodeBatch(records, { crc32c });
}

export interface LoadFigures {
  /** MB/s of what was acknowledged. */
  readonly rate: number;
  /** Milliseconds from the write of a batch to its ack, sorted. */
  readonly acksMs: readonly number[];
}

export interface ProduceWork {
  readonly topic: string;
  readonly batch: Uint8Array;
  readonly count: number;
  /** Batches without an ack at once. */
  readonly inFlight: number;
  /** W3C trace context of a batch by its number. Empty: none, as of all where this is absent. */
  readonly traceparentOf?: (sequence: number) => string;
}

/** Produces one batch again and again over one stream to a leader, so many of them at once, with acks=all. */
export async function produceLoad(channel: RpcChannel, work: ProduceWork): Promise<LoadFigures> {
  const { topic, batch, count, inFlight, traceparentOf = () => "" } = work;
  const sentAt: number[] = [];
  const acksMs: number[] = [];
  const done = createDeferred();
  const stream = openRawStream(channel, LogService.method.produceStream, () => ({
    onMessage({ results }) {
      const now = performance.now();
      for (const { sequence, error, message } of results) {
        if (error !== undefined) done.reject(new Error(message));
        acksMs.push(now - (sentAt[Number(sequence)] ?? now));
      }
      if (acksMs.length === count) done.resolve();
      else send();
    },
    onClose: (error) => done.reject(error ?? new Error("The stream ended")),
  }));
  const send = () => {
    while (sentAt.length < count && sentAt.length - acksMs.length < inFlight) {
      const sequence = sentAt.length;
      const traceparent = traceparentOf(sequence);
      stream.write({ sequence: BigInt(sequence), topic, partition: 0, acks: Acks.ALL, batches: batch, traceparent });
      sentAt.push(performance.now());
    }
  };
  const startedAt = performance.now();
  send();
  await done.promise;
  const seconds = (performance.now() - startedAt) / 1000;
  stream.end();
  return { rate: (count * batch.length) / 1e6 / seconds, acksMs: acksMs.sort((a, b) => a - b) };
}
