import { flatten, type WireBytes } from "@tidemark/rpc";
import type { PeerQueue } from "./network-watch.ts";

/** Bytes that one direction of a call may have on its way and unread, as RECEIVE_WINDOW_BYTES of a stream has it. */
const windowBytes = 4 * 1024 * 1024;

/** The sending end of one direction of a call: holds back what the reader has no room for. */
export interface OutFlow {
  /** `onFlushed` is called when the bytes have left; not at all where the call is over before. */
  send(bytes: WireBytes, onFlushed: () => void): void;
  /** The reader took so many bytes. */
  taken(bytes: number): void;
  /** Whether nothing is held back. */
  isEmpty(): boolean;
  /** Nothing more leaves. */
  stop(): void;
}

interface Held {
  readonly bytes: Uint8Array;
  readonly onFlushed: () => void;
}

/** `put` sends one message; `onEmpty` is called whenever nothing is held back any more; `queue` is told of what is. */
export function createOutFlow(
  put: (bytes: Uint8Array) => void,
  onEmpty: () => void,
  queue: Pick<PeerQueue, "held" | "left">,
): OutFlow {
  let used = 0;
  let held: Held[] = [];
  let isStopped = false;

  const leave = ({ bytes, onFlushed }: Held) => {
    used += bytes.length;
    put(bytes);
    // Behind the back of whoever sends, as a socket tells it.
    Promise.resolve().then(() => {
      if (!isStopped) onFlushed();
    }, ignore);
  };

  return {
    send(message, onFlushed) {
      if (isStopped) return;
      // A message may refer to memory that is used again once it has left.
      const next = { bytes: message instanceof Uint8Array ? message : flatten(message), onFlushed };
      if (held.length > 0 || used >= windowBytes) {
        held.push(next);
        queue.held(next.bytes.length);
      } else leave(next);
    },
    taken(bytes) {
      used -= bytes;
      while (held[0] !== undefined && used < windowBytes) {
        const [next] = held.splice(0, 1);
        if (next === undefined) break;
        queue.left(next.bytes.length);
        leave(next);
      }
      if (held.length === 0) onEmpty();
    },
    isEmpty: () => held.length === 0,
    stop() {
      isStopped = true;
      for (const { bytes } of held) queue.left(bytes.length);
      held = [];
    },
  };
}

/** The reading end: hands out one message each time one is asked for. */
export interface InFlow {
  put(bytes: Uint8Array): void;
  /** Asks for one message, which may come before this returns. */
  ask(): void;
  /** The sender sends no more. */
  finish(): void;
  /** Whether everything that came was handed out. */
  isEmpty(): boolean;
}

/** `onTaken` is told of bytes to give back to the sender; `onFinished` is called when everything before it was asked for. */
export function createInFlow(to: {
  readonly onMessage: (bytes: Uint8Array) => void;
  readonly onTaken: (bytes: number) => void;
  readonly onFinished: () => void;
}): InFlow {
  const waiting: Uint8Array[] = [];
  let asked = 0;
  let isFinished = false;
  let taken = 0;

  const hand = () => {
    while (asked > 0) {
      const bytes = waiting.shift();
      if (bytes === undefined) break;
      asked -= 1;
      taken += bytes.length;
      if (taken >= windowBytes / 2) {
        to.onTaken(taken);
        taken = 0;
      }
      to.onMessage(bytes);
    }
    if (isFinished && asked > 0 && waiting.length === 0) {
      asked = 0;
      to.onFinished();
    }
  };

  return {
    put(bytes) {
      waiting.push(bytes);
      hand();
    },
    ask() {
      asked += 1;
      hand();
    },
    finish() {
      isFinished = true;
      hand();
    },
    isEmpty: () => waiting.length === 0,
  };
}

function ignore(): void {}
