import { below, type Random } from "@tidemark/runtime";
import type { DiskErrorCode } from "../disk.ts";

/** What a process asks of a disk, as a plan of faults sees it. */
export interface DiskOperation {
  readonly kind:
    | "open"
    | "create"
    | "makeDirectory"
    | "list"
    | "rename"
    | "remove"
    | "syncDirectory"
    | "lock"
    | "size"
    | "read"
    | "write"
    | "truncate"
    | "sync";
  readonly path: string;
  /** Bytes to be written, or read at most; 0 for anything else. */
  readonly bytes: number;
}

/**
 * | effect | what happens                                                                                      |
 * |--------|---------------------------------------------------------------------------------------------------|
 * | fail   | nothing, and an error; after a sync that failed, what it should have written is never durable      |
 * | short  | so many bytes of a write reach the file, then the error                                           |
 * | delay  | what was asked for, so many milliseconds later                                                    |
 * | hang   | nothing for so many milliseconds, then HUNG, as a watchdog tells it                                |
 */
export type Effect =
  | { readonly kind: "fail"; readonly code: DiskErrorCode }
  | { readonly kind: "short"; readonly bytes: number; readonly code: DiskErrorCode }
  | { readonly kind: "delay"; readonly ms: number }
  | { readonly kind: "hang"; readonly ms: number };

/** Asked before each operation. Undefined: it goes as it should. */
export type FaultPlan = (operation: DiskOperation) => Effect | undefined;

export interface FaultRule {
  readonly kind: DiskOperation["kind"];
  /** Part of the path. Any path when absent. */
  readonly path?: string;
  /** How many matching operations go well before. Default 0. */
  readonly skip?: number;
  /** How many are then affected. Default 1. */
  readonly times?: number;
  readonly effect: Effect;
}

/** Faults from a list: the first rule that still applies to an operation decides. */
export function scriptedFaults(rules: readonly FaultRule[]): FaultPlan {
  const left = rules.map((rule) => ({ rule, skip: rule.skip ?? 0, times: rule.times ?? 1 }));
  return (operation) => {
    for (const state of left) {
      if (state.times === 0 || state.rule.kind !== operation.kind) continue;
      if (state.rule.path !== undefined && !operation.path.includes(state.rule.path)) continue;
      if (state.skip > 0) {
        state.skip--;
        continue;
      }
      state.times--;
      return state.rule.effect;
    }
    return undefined;
  };
}

/** How likely each fault is, 0 to 1, for every operation that it can befall. */
export interface FaultRates {
  readonly failedSync?: number;
  readonly failedWrite?: number;
  readonly failedRead?: number;
  readonly shortWrite?: number;
  readonly delay?: number;
  readonly delayMs?: number;
}

/** Faults that follow from the seed of `random`. */
export function randomFaults(random: Random, rates: FaultRates): FaultPlan {
  const happens = (rate: number | undefined) => rate !== undefined && rate > 0 && random.next() < rate;
  return ({ kind, bytes }) => {
    if (kind === "sync" && happens(rates.failedSync)) return { kind: "fail", code: "IO" };
    if (kind === "read" && happens(rates.failedRead)) return { kind: "fail", code: "IO" };
    if (kind === "write" && happens(rates.failedWrite)) return { kind: "fail", code: "IO" };
    if (kind === "write" && happens(rates.shortWrite)) {
      return { kind: "short", bytes: below(random, Math.max(1, bytes)), code: "NO_SPACE" };
    }
    if (happens(rates.delay)) return { kind: "delay", ms: below(random, (rates.delayMs ?? 0) + 1) };
    return undefined;
  };
}

/** The first plan that has something to say decides. */
export function anyFault(plans: readonly FaultPlan[]): FaultPlan {
  return (operation) => {
    for (const plan of plans) {
      const effect = plan(operation);
      if (effect !== undefined) return effect;
    }
    return undefined;
  };
}

/** A disk that holds `capacity` bytes: what no longer fits is written as far as it does. */
export function limitedSpace(disk: { readonly usedBytes: () => number }, capacity: () => number): FaultPlan {
  return ({ kind, bytes }) => {
    const free = Math.max(0, capacity() - disk.usedBytes());
    if (kind === "create" && free === 0) return { kind: "fail", code: "NO_SPACE" };
    return kind === "write" && bytes > free ? { kind: "short", bytes: free, code: "NO_SPACE" } : undefined;
  };
}
