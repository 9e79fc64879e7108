import type { Random } from "@tidemark/runtime";
import type { Engine } from "../engine/engine.ts";

/** The way from one host to another, in one direction. */
export interface LinkState {
  /** Milliseconds that everything takes at least. */
  readonly delayMs: number;
  /** Mean of what comes on top, exponentially distributed, in milliseconds. */
  readonly jitterMs: number;
}

/**
 * What the network between hosts does to what is sent: how long it takes, and which ways are cut. A cut way loses
 * nothing for good by itself: TCP sends again, so what was sent arrives some time after the way is mended, unless one
 * side has given the connection up before.
 */
export interface Links {
  /** Milliseconds for one packet from one host to another, drawn anew each time. */
  delayMs(from: string, to: string): number;
  isCut(from: string, to: string): boolean;
  /** Cuts one direction. Cuts add up: each is mended by its own function. */
  cut(from: string, to: string): () => void;
  /** Makes one direction slow, until the returned function is called. */
  slow(from: string, to: string, state: LinkState): () => void;
  /**
   * Holds back what belongs to calls of one method on its way in one direction: of the streams of a connection one then
   * comes later than the others, and each keeps its own order. `call` is a part of the method's path. Returns what ends
   * it for what is sent from then on.
   */
  holdCalls(from: string, to: string, hold: { readonly call: string; readonly ms: number }): () => void;
  /** For how long what belongs to a call is held back, in milliseconds. */
  heldMs(from: string, to: string, path: string): number;
  /** Calls `resend` some time after the direction is mended, as a sender's next try would. */
  whenMended(from: string, to: string, resend: () => void): void;
}

/** Longest pause between two tries of TCP to send again, in milliseconds. */
const resendMaxMs = 5000;

interface Way {
  cuts: number;
  cutAtMs: number;
  slowed: LinkState[];
  held: { readonly call: string; readonly ms: number }[];
  waiting: (() => void)[];
}

export function createLinks(engine: Engine, random: Random, usual: LinkState): Links {
  const ways = new Map<string, Map<string, Way>>();
  const wayOf = (from: string, to: string): Way | undefined => ways.get(from)?.get(to);
  const changed = (from: string, to: string): Way => {
    const waysFrom = ways.get(from) ?? new Map<string, Way>();
    ways.set(from, waysFrom);
    const known = waysFrom.get(to) ?? { cuts: 0, cutAtMs: 0, slowed: [], held: [], waiting: [] };
    waysFrom.set(to, known);
    return known;
  };
  const mended = (way: Way) => {
    const waiting = way.waiting;
    way.waiting = [];
    // Tries double their distance, so the next one comes at most as much later as the cut has lasted.
    const latestMs = Math.min(resendMaxMs, engine.nowMs - way.cutAtMs);
    for (const resend of waiting) engine.after(random.next() * latestMs, resend);
  };
  const once = (undo: () => void) => {
    let isDone = false;
    return () => {
      if (isDone) return;
      isDone = true;
      undo();
    };
  };

  return {
    delayMs(from, to) {
      const { delayMs, jitterMs } = wayOf(from, to)?.slowed.at(-1) ?? usual;
      return delayMs - Math.log(1 - random.next()) * jitterMs;
    },
    isCut: (from, to) => (wayOf(from, to)?.cuts ?? 0) > 0,
    cut(from, to) {
      const way = changed(from, to);
      if (way.cuts === 0) way.cutAtMs = engine.nowMs;
      way.cuts += 1;
      return once(() => {
        way.cuts -= 1;
        if (way.cuts === 0) mended(way);
      });
    },
    slow(from, to, state) {
      const way = changed(from, to);
      way.slowed.push(state);
      return once(() => {
        way.slowed = way.slowed.filter((each) => each !== state);
      });
    },
    holdCalls(from, to, hold) {
      const way = changed(from, to);
      way.held.push(hold);
      return once(() => {
        way.held = way.held.filter((each) => each !== hold);
      });
    },
    heldMs: (from, to, path) => wayOf(from, to)?.held.find(({ call }) => path.includes(call))?.ms ?? 0,
    whenMended(from, to, resend) {
      changed(from, to).waiting.push(resend);
    },
  };
}
