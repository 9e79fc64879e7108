import type { LogIndex } from "./ids.ts";

/** The appends that were sent to one follower and are not answered, oldest first. */
export interface Inflight {
  readonly messages: number;
  readonly bytes: number;
  add(last: LogIndex, bytes: number): void;
  /** Everything up to `match` arrived. */
  freeThrough(match: LogIndex): void;
  /** Gives up waiting for the oldest one, so that a follower whose answers were lost is not stuck for ever. */
  freeOldest(): void;
}

export function createInflight(): Inflight {
  const sent: { readonly last: LogIndex; readonly bytes: number }[] = [];
  let bytes = 0;
  const freeOldest = () => {
    bytes -= sent.shift()?.bytes ?? 0;
  };
  return {
    get messages() {
      return sent.length;
    },
    get bytes() {
      return bytes;
    },
    add(last, added) {
      sent.push({ last, bytes: added });
      bytes += added;
    },
    freeThrough(match) {
      while (sent[0] !== undefined && sent[0].last <= match) freeOldest();
    },
    freeOldest,
  };
}
