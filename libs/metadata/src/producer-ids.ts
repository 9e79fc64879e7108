import { Reason } from "@tidemark/proto/common/v1";
import { formatDomainKey } from "./change.ts";
import { type Decision, decided, refused } from "./decision.ts";
import type { MetadataImage } from "./image.ts";

/** Ids in one block. A broker that dies with the rest of its block wastes them; there are 2^63. */
const blockSize = 1000;

/** A block of producer ids: nobody else gets any of them. */
export interface ProducerIdBlock {
  readonly firstProducerId: bigint;
  readonly count: number;
}

/** Refused while the key cannot be read: an id that is given out twice makes one producer's records repeats of another's. */
export function allocateProducerIds(image: MetadataImage): Decision<ProducerIdBlock> {
  const key = formatDomainKey({ kind: "producerIds" });
  if (image.malformed.has(key)) {
    return refused(Reason.INTERNAL, `${key} cannot be read: which producer ids were given out is not known`);
  }
  const firstProducerId = image.producerIds?.nextProducerId ?? 0n;
  const nextProducerId = firstProducerId + BigInt(blockSize);
  return decided({ firstProducerId, count: blockSize }, [{ kind: "producerIds", value: { nextProducerId } }]);
}
