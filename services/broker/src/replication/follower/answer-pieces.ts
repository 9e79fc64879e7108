import type { PartitionAnswer, ReplicaRecords } from "@tidemark/proto/replica/v1";
import { answerMaxBytes } from "../limits.ts";

/** Puts the pieces of one partition's answers together. */
export interface AnswerPieces {
  /**
   * The answer's bytes with its last piece, undefined before. Those of an answer in one piece are not copied. Throws a
   * RangeError where the pieces do not fit together.
   */
  take(answer: PartitionAnswer, records: ReplicaRecords): Uint8Array | undefined;
}

export function createAnswerPieces(): AnswerPieces {
  let pieces: Uint8Array[] = [];
  let session = 0;
  let bytesToCome = 0;

  return {
    take(answer, records) {
      const { batches } = records;
      if (pieces.length === 0) {
        if (records.bytesToCome === 0) return batches;
        const total = batches.length + records.bytesToCome;
        if (total > answerMaxBytes) throw new RangeError(`an answer of ${total} bytes is above ${answerMaxBytes}`);
        session = answer.session;
      } else {
        const isNext = answer.session === session && batches.length + records.bytesToCome === bytesToCome;
        if (!isNext) throw new RangeError(`a piece is missing: ${bytesToCome} bytes of the answer were to come`);
      }
      if (batches.length === 0) throw new RangeError("a piece of an answer is empty");
      pieces.push(batches);
      bytesToCome = records.bytesToCome;
      if (bytesToCome > 0) return undefined;
      const whole = Buffer.concat(pieces);
      pieces = [];
      return whole;
    },
  };
}
