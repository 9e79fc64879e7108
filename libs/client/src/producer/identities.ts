import type { InitProducerResponse } from "@tidemark/proto/log/v1";

/** Who a producer is towards brokers: an id, and the newest of its epochs. */
export type ProducerIdentity = Pick<InitProducerResponse, "producerId" | "producerEpoch">;

/** Asks for an identity at an endpoint: a new one, or the next epoch of one. Rejects with a TidemarkError. */
export type InitProducer = (endpoint: string, raised?: ProducerIdentity) => Promise<ProducerIdentity>;

/**
 * The identities of one producer. Partitions begin with one id, and each goes its own way from there: brokers know the
 * producer epochs of a partition by its batches alone (R11), so what raises one leaves the others as they are.
 */
export interface ProducerIdentities {
  /** The id that all partitions begin with, asked for once. */
  first(endpoint: string): Promise<ProducerIdentity>;
  /** The next producer epoch, which fences what is still on its way under the one before. */
  raise(endpoint: string, identity: ProducerIdentity): Promise<ProducerIdentity>;
  /** An id that nobody had. */
  fresh(endpoint: string): Promise<ProducerIdentity>;
}

export function createProducerIdentities(init: InitProducer): ProducerIdentities {
  let first: Promise<ProducerIdentity> | undefined;
  return {
    first(endpoint) {
      first ??= init(endpoint).catch((error: unknown) => {
        first = undefined;
        throw error;
      });
      return first;
    },
    raise: (endpoint, identity) => init(endpoint, identity),
    fresh: (endpoint) => init(endpoint),
  };
}
