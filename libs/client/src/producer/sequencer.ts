/**
 * Gives the batches of one partition their producer id, producer epoch and sequence (R11).
 *
 * | state   | means                                                     | leaves it when                               |
 * |---------|-----------------------------------------------------------|----------------------------------------------|
 * | none    | nobody was asked yet, or in vain                          | `prepare` resolves: ready                    |
 * | ready   | batches get their sequences, one behind the other         | `end`: none                                  |
 *
 * An identity ends when the partition's leader cannot go on from its last batch. The next one has the next producer
 * epoch; where the epoch was fenced, somebody else has it, and the next one has an id of its own.
 */
import { type BatchProducer, sequenceAfter } from "@tidemark/record";
import type { ProducerIdentities, ProducerIdentity } from "./identities.ts";

export interface Sequencer {
  readonly isReady: boolean;
  /** The identity of a batch of so many records. Only while it is ready. */
  next(records: number): BatchProducer;
  /** Asks for an identity at the endpoint. Rejects with a TidemarkError. Only while it is not ready. */
  prepare(endpoint: string): Promise<void>;
  /** Nothing more is sent under this identity. `isFenced`: nor under its id. */
  end(isFenced: boolean): void;
}

type State =
  | { readonly kind: "none"; readonly last: ProducerIdentity | undefined; readonly isFenced: boolean }
  | { readonly kind: "ready"; readonly identity: ProducerIdentity; sequence: number };

export function createSequencer(identities: ProducerIdentities): Sequencer {
  let state: State = { kind: "none", last: undefined, isFenced: false };

  const ask = (endpoint: string, last: ProducerIdentity | undefined, isFenced: boolean) => {
    if (isFenced) return identities.fresh(endpoint);
    return last === undefined ? identities.first(endpoint) : identities.raise(endpoint, last);
  };

  return {
    get isReady() {
      return state.kind === "ready";
    },
    next(records) {
      if (state.kind !== "ready") throw new Error("Broken invariant: a sequencer is ready before it is asked");
      const { identity, sequence } = state;
      state.sequence = sequenceAfter(sequence, records);
      return { id: identity.producerId, epoch: identity.producerEpoch, sequence };
    },
    async prepare(endpoint) {
      if (state.kind === "ready") return;
      state = { kind: "ready", identity: await ask(endpoint, state.last, state.isFenced), sequence: 0 };
    },
    end(isFenced) {
      if (state.kind === "ready") state = { kind: "none", last: state.identity, isFenced };
    },
  };
}
