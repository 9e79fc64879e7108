import type { WireBytes } from "../wire/wire-bytes.ts";
import type { ClientWire } from "./client-wire.ts";

/** Hands messages to a wire one after the other, each when the one before has left. */
export interface SendQueue {
  push(bytes: WireBytes): void;
  /** Half-closes after the last message. */
  end(): void;
  clear(): void;
}

/** `onFlushed` is called with the length of each message that has left. */
export function createSendQueue(wire: ClientWire, onFlushed: (length: number) => void): SendQueue {
  let waiting: WireBytes[] = [];
  /** Index of the next in `waiting`: shifting a long array would move all of it each time. */
  let head = 0;
  let sending = false;
  let ended = false;
  let halfClosed = false;

  const send = () => {
    if (sending) return;
    const bytes = waiting[head];
    if (bytes === undefined) {
      waiting = [];
      head = 0;
      if (ended && !halfClosed) {
        halfClosed = true;
        wire.halfClose();
      }
      return;
    }
    head += 1;
    sending = true;
    wire.sendMessage(bytes, () => {
      sending = false;
      onFlushed(bytes.length);
      send();
    });
  };

  return {
    push(bytes) {
      waiting.push(bytes);
      send();
    },
    end() {
      ended = true;
      // The last message may still be on its way to the transport: it keeps the order itself.
      send();
    },
    clear() {
      waiting = [];
      head = 0;
      ended = false;
    },
  };
}
