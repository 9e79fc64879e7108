import type { BrokerId } from "@tidemark/ids";

/** Which brokers' connections were lost lately: many at once are a sign of one's own network, not of theirs (D10). */
export interface LossRecord {
  add(brokerId: BrokerId, atMs: number): void;
  /** The broker connected again: between it and this controller the network works. */
  takeBack(brokerId: BrokerId): void;
  /** Whether, within one grace of `atMs`, more than a third of `brokers` and at least two were lost. */
  areSuspicious(atMs: number, brokers: number): boolean;
  clear(): void;
}

export function createLossRecord(graceMs: number): LossRecord {
  let losses: { readonly brokerId: BrokerId; readonly atMs: number }[] = [];
  return {
    add(brokerId, atMs) {
      losses = losses.filter((loss) => atMs - loss.atMs <= 4 * graceMs);
      losses.push({ brokerId, atMs });
    },
    takeBack(brokerId) {
      losses = losses.filter((loss) => loss.brokerId !== brokerId);
    },
    areSuspicious(atMs, brokers) {
      const lost = new Set(losses.filter((loss) => Math.abs(loss.atMs - atMs) <= graceMs).map((loss) => loss.brokerId));
      return lost.size >= 2 && lost.size * 3 > brokers;
    },
    clear() {
      losses = [];
    },
  };
}
