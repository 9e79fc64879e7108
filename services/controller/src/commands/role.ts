import type { ControllerEpoch } from "@tidemark/ids";
import type { TidemarkError } from "@tidemark/rpc";
import { type KnownController, metadataSealed, notController } from "../errors.ts";

/** One stretch of being the active controller. */
export interface ActiveTerm {
  readonly epoch: ControllerEpoch;
  /** Aborted with NOT_CONTROLLER when it ends: whatever was answered on its behalf ends too. */
  readonly signal: AbortSignal;
}

/**
 * Whether this controller is the active one, as far as it knows.
 *
 * | from     | to       | when                                                                                          |
 * |----------|----------|-----------------------------------------------------------------------------------------------|
 * | inactive | active   | it leads, and its image holds everything up to the revision that began its epoch (C4)          |
 * | active   | inactive | the belief ended, an append was refused as fenced, or one ended unknown and it resigned (C6)   |
 * | any      | halted   | the metadata were found to be older than what brokers have seen (METADATA_REGRESSED)          |
 *
 * Belief is not enough for an answer that must be current: those pass an append or the store's barrier.
 */
export interface Role {
  readonly term: ActiveTerm | undefined;
  /** The term, or why there is none: the error names the active controller, or says that the metadata are sealed. */
  require(): ActiveTerm;
  /** The active controller other than this one, as far as it is known. */
  known(): KnownController | undefined;
  error(): TidemarkError;
  activate(epoch: ControllerEpoch): ActiveTerm;
  /** Calls back whenever a term has begun. Must not throw. Returns how to stop that. */
  onActivated(listener: () => void): () => void;
  /**
   * Ends the term and lets no other begin in this process: every call fails with this error until an operator has
   * decided. It does not resign, so that no other controller goes on with the same metadata.
   */
  halt(error: TidemarkError): void;
  readonly isHalted: boolean;
  /** Ends the term. Does nothing where there is none, or where it is another than `epoch`. */
  deactivate(epoch: ControllerEpoch, why: string): void;
}

export function createRole(options: {
  /** The active controller by the latest belief or the image; undefined where that is this one or nobody. */
  readonly known: () => KnownController | undefined;
  /** Whether the metadata are sealed: then nobody is active, and nobody will be. */
  readonly isSealed: () => boolean;
  readonly onDeactivated: (epoch: ControllerEpoch, why: string) => void;
}): Role {
  let current: { readonly term: ActiveTerm; readonly abort: AbortController } | undefined;
  let halted: TidemarkError | undefined;
  const listeners = new Set<() => void>();
  const error = () => halted ?? (options.isSealed() ? metadataSealed() : notController(options.known()));
  const deactivate = (epoch: ControllerEpoch, why: string) => {
    if (current === undefined || current.term.epoch !== epoch) return;
    const { abort } = current;
    current = undefined;
    options.onDeactivated(epoch, why);
    abort.abort(error());
  };
  return {
    get term() {
      return current?.term;
    },
    require() {
      if (current === undefined) throw error();
      return current.term;
    },
    known: options.known,
    error,
    activate(epoch) {
      const abort = new AbortController();
      const term = { epoch, signal: abort.signal };
      current = { term, abort };
      for (const listener of listeners) listener();
      return term;
    },
    onActivated(listener) {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
    deactivate,
    halt(why) {
      halted = why;
      if (current !== undefined) deactivate(current.term.epoch, why.message);
    },
    get isHalted() {
      return halted !== undefined;
    },
  };
}
