/**
 * The answers of one stream on their way out: put into messages of a good size, in their order, as fast as the follower
 * takes them. What becomes ready in one turn of the event loop leaves together.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { FetchResponseSchema, PartitionAnswerSchema } from "@tidemark/proto/replica/v1";
import type { RawStream } from "@tidemark/rpc";
import type { Scheduler } from "@tidemark/runtime";
import { refusalToWire } from "../refusals.ts";
import { noTraces, type ReplicaReply, type ReplicaTrace } from "../replica-exchange.ts";
import type { OpenFetch } from "./open-fetches.ts";

type WireAnswer = MessageInitShape<typeof PartitionAnswerSchema>;

/** What an answer costs in a message besides its batches, in bytes, about. */
const answerOverheadBytes = 64;

export interface AnswerOutbox {
  /** Bytes of batches that wait here. */
  readonly bytes: number;
  /**
   * `records` are those of a reply that has some; they must not change until they have left. `stands`: more answers to the
   * fetch follow. Default false.
   */
  push(fetch: OpenFetch, reply: ReplicaReply, records?: ReadRecords, stands?: boolean): void;
  /** The stream takes more. */
  readonly drained: () => void;
  /** Sends what waits, if the stream takes it. For the end of a stream. */
  flush(): void;
  clear(): void;
}

interface ReadRecords {
  readonly batches: readonly Uint8Array[];
  /** Those that are recorded. */
  readonly traces: readonly ReplicaTrace[];
}

interface Waiting extends ReadRecords {
  readonly fetch: OpenFetch;
  readonly reply: ReplicaReply;
  readonly stands: boolean;
  /** Bytes of `batches` that were not sent. */
  left: number;
  /** The next of `batches`, and where to go on in it. */
  index: number;
  position: number;
}

/** `onSpace` is called when bytes have left the outbox. */
export function createAnswerOutbox(options: {
  readonly stream: RawStream<MessageInitShape<typeof FetchResponseSchema>>;
  readonly scheduler: Scheduler;
  readonly messageBytes: number;
  readonly onSpace: () => void;
}): AnswerOutbox {
  const { stream, scheduler, messageBytes, onSpace } = options;
  let waiting: Waiting[] = [];
  /** Index of the next in `waiting`: shifting a long array would move all of it each time. */
  let head = 0;
  let bytes = 0;
  let isScheduled = false;
  let canWrite = true;

  const nextMessage = (): WireAnswer[] => {
    const answers: WireAnswer[] = [];
    let size = 0;
    for (let next = waiting[head]; next !== undefined; next = waiting[head]) {
      const cost = next.left + answerOverheadBytes;
      // A small answer is never cut, so its batches reach the follower's log without another copy.
      if (size > 0 && size + cost > messageBytes) break;
      const piece = takePiece(next, messageBytes);
      bytes -= piece.length;
      size += piece.length + answerOverheadBytes;
      answers.push(wireAnswer(next, piece));
      if (next.left === 0) head += 1;
    }
    if (head === waiting.length) {
      waiting = [];
      head = 0;
    }
    return answers;
  };

  const flush = () => {
    isScheduled = false;
    const before = bytes;
    while (canWrite && head < waiting.length) canWrite = stream.write({ answers: nextMessage() });
    if (bytes < before) onSpace();
  };

  const schedule = () => {
    if (isScheduled || !canWrite) return;
    isScheduled = true;
    scheduler.afterInput(flush);
  };

  return {
    get bytes() {
      return bytes;
    },
    push(fetch, reply, { batches, traces } = noRecords, stands = false) {
      const left = batches.reduce((sum, each) => sum + each.length, 0);
      bytes += left;
      waiting.push({ fetch, reply, batches, traces, stands, left, index: 0, position: 0 });
      schedule();
    },
    drained() {
      canWrite = true;
      schedule();
    },
    flush,
    clear() {
      waiting = [];
      head = 0;
      bytes = 0;
      canWrite = false;
    },
  };
}

/** The next bytes that lie together, at most `most` of them. Nothing of an answer without batches. */
function takePiece(from: Waiting, most: number): Uint8Array {
  const batches = from.batches[from.index] ?? nothing;
  const piece = batches.subarray(from.position, from.position + most);
  from.left -= piece.length;
  from.position += piece.length;
  if (from.position === batches.length) {
    from.index += 1;
    from.position = 0;
  }
  return piece;
}

const nothing = new Uint8Array(0);
const noRecords: ReadRecords = { batches: [], traces: noTraces };

function wireAnswer({ fetch, reply, traces, left, stands }: Waiting, piece: Uint8Array): WireAnswer {
  const { partition, asked, goesOn } = fetch;
  const { session, leaderEpoch, fetchOffset } = asked;
  const content = contentOf(reply, { batches: piece, bytesToCome: left, traces });
  const answer = { handle: partition.handle, session, leaderEpoch, content, stands };
  return goesOn ? { ...answer, goesOnFrom: fetchOffset } : answer;
}

interface Piece {
  readonly batches: Uint8Array;
  readonly bytesToCome: number;
  /** Of the whole answer: they go with its last piece. */
  readonly traces: readonly ReplicaTrace[];
}

function contentOf(reply: ReplicaReply, { batches, bytesToCome, traces }: Piece): WireAnswer["content"] & object {
  switch (reply.kind) {
    case "records": {
      const { highWatermark, logStart, logEnd } = reply;
      const value = { highWatermark, logStart, logEnd, batches, bytesToCome };
      if (traces.length === 0 || bytesToCome > 0) return { case: "records", value };
      return { case: "records", value: { ...value, traces: [...traces] } };
    }
    case "diverging": {
      const { leaderEpoch, endOffset } = reply.divergence;
      return { case: "diverging", value: { endOffset, ...(leaderEpoch < 0 ? {} : { leaderEpoch }) } };
    }
    case "behindLogStart":
      return { case: "behindLogStart", value: reply.logStart };
    case "refused":
      return { case: "refused", value: refusalToWire(reply.reason) };
  }
}
