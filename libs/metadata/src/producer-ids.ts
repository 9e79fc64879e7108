import { type Decision, decided } from "./decision.ts";
import type { MetadataImage } from "./image.ts";

/** Ids in one block. A broker that dies with the rest of its block wastes them; there are 2^63. */
const blockSize = 1000;

/** A block of producer ids: nobody else gets any of them. */
export interface ProducerIdBlock {
  readonly firstProducerId: bigint;
  readonly count: number;
}

export function allocateProducerIds(image: MetadataImage): Decision<ProducerIdBlock> {
  const firstProducerId = image.producerIds?.nextProducerId ?? 0n;
  const nextProducerId = firstProducerId + BigInt(blockSize);
  return decided({ firstProducerId, count: blockSize }, [{ kind: "producerIds", value: { nextProducerId } }]);
}
