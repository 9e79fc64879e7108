import type { InitProducerRequest, InitProducerResponse } from "@tidemark/proto/log/v1";
import type { ProducerIds } from "../controller/producer-ids.ts";
import { invalidArgument } from "../errors.ts";

/** The largest int16: a producer epoch of the batch format. */
const producerEpochMax = 32_767;

/**
 * Gives a producer its id, or the next producer epoch of the one that it has (R11). Nothing is written down here: the
 * newer epoch fences the older one in each partition from its first batch there on. Any broker can be asked, since an id
 * has one owner, which counts its epochs up.
 */
export function createInitProducer(ids: ProducerIds) {
  return async (request: InitProducerRequest): Promise<Pick<InitProducerResponse, "producerId" | "producerEpoch">> => {
    const { producerId, producerEpoch } = request;
    if (producerId === undefined && producerEpoch === undefined) {
      return { producerId: await ids.next(), producerEpoch: 0 };
    }
    if (producerId === undefined || producerEpoch === undefined) {
      throw invalidArgument(
        "producer_id and producer_epoch are given together, or neither: then a new id is given out",
      );
    }
    if (producerId < 0n) throw invalidArgument(`producer_id = ${producerId}: ids begin with 0`);
    if (producerEpoch > producerEpochMax) {
      throw invalidArgument(`producer_epoch = ${producerEpoch}: the largest one is ${producerEpochMax}`);
    }
    // An id whose epochs are used up is left for another one, of which nobody has anything in flight.
    if (producerEpoch === producerEpochMax) return { producerId: await ids.next(), producerEpoch: 0 };
    return { producerId, producerEpoch: producerEpoch + 1 };
  };
}
