import type { Codec as CodecId } from "@tidemark/proto/common/v1";
import type { Acks } from "@tidemark/proto/log/v1";
import { fromErrorDetail } from "@tidemark/rpc";
import type { Connection } from "../connection.ts";
import type { SendBatch } from "./deliver.ts";

/** Where a batch goes and how. */
export interface BatchTarget {
  readonly topic: string;
  readonly partition: number;
  readonly acks: Acks;
  readonly codec: CodecId;
}

/** Sends batches of one partition by unary calls: to its leader where that is known, else by the bootstrap endpoint. */
export function createBatchSender(connection: Connection, target: BatchTarget): SendBatch {
  const { topic, partition } = target;
  return async (batches, { timeoutMs, signal, traceparent }) => {
    const endpoint = connection.routes.endpointOf(topic, partition);
    try {
      const { results } = await connection
        .produceAt(endpoint)
        .produce(
          { ...target, batches, timeoutMs: Math.ceil(timeoutMs) },
          { timeoutMs, signal, ...(traceparent === undefined ? {} : { traceparent }) },
        );
      const [result] = results;
      if (result?.error !== undefined) throw fromErrorDetail(result.error, result.message);
      return result?.baseOffset;
    } catch (error) {
      connection.routes.heed(target, endpoint, error);
      throw error;
    }
  };
}
