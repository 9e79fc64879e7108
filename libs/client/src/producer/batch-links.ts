import { Reason } from "@tidemark/proto/common/v1";
import type { Acks } from "@tidemark/proto/log/v1";
import { fromErrorDetail, TidemarkError } from "@tidemark/rpc";
import type { Connection } from "../connection.ts";
import { openStreamLink, type StreamLink } from "./stream-link.ts";

/** One encoded batch, and where it is to be stored. */
export interface BatchToSend {
  readonly topic: string;
  readonly partition: number;
  readonly acks: Acks;
  readonly batches: Uint8Array;
  readonly timeoutMs: number;
  /** W3C trace context of the batch's span. Absent: it has none. */
  readonly traceparent?: string;
}

/** A producer's ways to the endpoints that it sends to: a produce stream each, unary calls where there are no streams. */
export interface BatchLinks {
  /** False while too many bytes wait for their answers there. */
  hasRoom(endpoint: string): boolean;
  /** Resolves with the base offset, absent with acks none. Rejects with a TidemarkError. */
  send(endpoint: string, batch: BatchToSend): Promise<bigint | undefined>;
  /** Ends everything. Nothing is to be sent after it. */
  readonly close: () => void;
}

/** `onRoom` is called when an endpoint that was full has room again. */
export function createBatchLinks(
  connection: Connection,
  { inFlightBytesMax, onRoom }: { readonly inFlightBytesMax: number; readonly onRoom: () => void },
): BatchLinks {
  const links = new Map<string, StreamLink>();
  const withoutStreams = new Set<string>();
  const over = new AbortController();

  const linkTo = (endpoint: string): StreamLink => {
    const known = links.get(endpoint);
    if (known?.isOpen) return known;
    const { openProduceStream: open, runtime } = connection;
    const opened = openStreamLink({ endpoint, open, runtime, inFlightBytesMax, onRoom });
    links.set(endpoint, opened);
    return opened;
  };

  const sendByStream = (endpoint: string, { timeoutMs, ...message }: BatchToSend) =>
    new Promise<bigint | undefined>((resolve, reject) => {
      linkTo(endpoint).send(message, timeoutMs, (outcome) => {
        if (outcome instanceof TidemarkError) reject(outcome);
        else resolve(outcome.baseOffset);
      });
    });

  const sendByCall = async (endpoint: string, { traceparent, ...request }: BatchToSend) => {
    const { timeoutMs } = request;
    const { results } = await connection
      .produceAt(endpoint)
      .produce(
        { ...request, timeoutMs: Math.max(1, Math.ceil(timeoutMs)) },
        { timeoutMs, signal: over.signal, ...(traceparent === undefined ? {} : { traceparent }) },
      );
    const [result] = results;
    if (result?.error !== undefined) throw fromErrorDetail(result.error, result.message);
    return result?.baseOffset;
  };

  return {
    hasRoom(endpoint) {
      const link = links.get(endpoint);
      // Where a stream is over, the next batch opens another one.
      return link === undefined || !link.isOpen || link.hasRoom;
    },
    async send(endpoint, batch) {
      // A stream's end leaves open what became of its batches; of this one it is certain.
      connection.checkOpen();
      if (withoutStreams.has(endpoint)) return sendByCall(endpoint, batch);
      try {
        return await sendByStream(endpoint, batch);
      } catch (error) {
        if (!(error instanceof TidemarkError) || error.reason !== Reason.UNSUPPORTED) throw error;
        // Whoever does not know the method did nothing with the batch.
        withoutStreams.add(endpoint);
        return sendByCall(endpoint, batch);
      }
    },
    close() {
      over.abort();
      for (const link of links.values()) link.cancel();
    },
  };
}
