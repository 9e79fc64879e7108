/**
 * What stands in front of every backend: batches are checked and appends in flight are bounded here, once, so that no
 * backend ever sees a batch over a limit and none has to count (C10, C11).
 */
import type { ControllerEpoch } from "@tidemark/ids";
import { bytesOfBatch, faultOfBatch } from "./batch.ts";
import type { AppendOutcome, Change } from "./consensus.ts";
import type { EventSink } from "./events.ts";
import { appendLimits } from "./limits.ts";

export type Append = (epoch: ControllerEpoch, changes: readonly Change[]) => Promise<AppendOutcome>;

export interface AppendFrontOptions {
  /** The backend's own append: sees legal batches only, and never rejects. */
  readonly append: Append;
  readonly onEvent: EventSink;
  /** Defaults to `appendLimits`. */
  readonly bounds?: { readonly batchesMax: number; readonly bytesMax: number };
}

export function createAppendFront(options: AppendFrontOptions): Append {
  const bounds = options.bounds ?? appendLimits;
  let batches = 0;
  let bytes = 0;

  const refuse = (epoch: ControllerEpoch, reason: "INVALID_BATCH" | "RESOURCE_EXHAUSTED", message: string) => {
    options.onEvent({ kind: "appendRefused", epoch, reason, message });
    return { kind: "refused", reason, message } as const;
  };

  return async (epoch, changes) => {
    const fault = faultOfBatch(changes);
    if (fault !== undefined) return refuse(epoch, "INVALID_BATCH", fault);
    const size = bytesOfBatch(changes);
    if (batches + 1 > bounds.batchesMax || bytes + size > bounds.bytesMax) {
      return refuse(epoch, "RESOURCE_EXHAUSTED", `${batches} batches with ${bytes} bytes are in flight`);
    }
    batches += 1;
    bytes += size;
    try {
      return await options.append(epoch, changes);
    } finally {
      batches -= 1;
      bytes -= size;
    }
  };
}
