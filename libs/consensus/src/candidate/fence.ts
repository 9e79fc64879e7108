import type { ControllerEpoch } from "@tidemark/ids";
import { type Random, randomUuid } from "@tidemark/runtime";
import { type AppendValue, encodeAppend } from "../records.ts";
import type { StoreChange, StoreSession } from "../store/store-link.ts";
import { type Answer, send } from "./exchange.ts";
import { appendKey } from "./store-keys.ts";

/**
 * `/append` as the leader of an epoch knows it. Each batch carries the next value and each request names the whole value
 * that it follows on, so that a request which lost its place is refused by the store, however late it arrives (C5).
 */
export interface Fence {
  /** How many batches one request may hold. */
  readonly batchesMax: number;
  current(): AppendValue;
  /** The values of the next `count` batches. */
  next(count: number): readonly AppendValue[];
  /** The store is known to hold this value. */
  moveTo(value: AppendValue): void;
  /** Asks the store for a batch with each value, behind what `current` says. */
  request(values: readonly AppendValue[], batches: readonly (readonly StoreChange[])[]): Promise<Answer>;
}

export function createFence(options: {
  readonly epoch: ControllerEpoch;
  /** As the claim left it. */
  readonly value: AppendValue;
  readonly session: StoreSession;
  readonly random: Random;
}): Fence {
  let current = options.value;
  return {
    batchesMax: options.session.batchesMax,
    current: () => current,
    next: (count) =>
      Array.from({ length: count }, (_, at) => ({
        epoch: options.epoch,
        sequence: current.sequence + 1n + BigInt(at),
        attempt: randomUuid(options.random),
      })),
    moveTo(value) {
      current = value;
    },
    request: (values, batches) =>
      send(options.session, {
        guards: [{ key: appendKey, value: encodeAppend(current) }],
        batches: values.map((value, at) => [
          ...(batches[at] ?? []),
          { kind: "put", key: appendKey, value: encodeAppend(value) },
        ]),
      }),
  };
}
