import type { Rule } from "./schema.ts";

/** Room in a message beside its largest batch: names, positions and the framing of the other fields. */
const messageOverheadBytes = 64 * 1024;

/** The largest legal batch must pass this hop. */
export const largestBatchPasses: Rule<{
  readonly "message.max.bytes": number;
  readonly "rpc.receive.max.bytes": number;
  readonly "rpc.send.max.bytes": number;
}> = {
  needs: ["message.max.bytes", "rpc.receive.max.bytes", "rpc.send.max.bytes"],
  check: (values) => {
    const needed = values["message.max.bytes"] + messageOverheadBytes;
    return (["rpc.receive.max.bytes", "rpc.send.max.bytes"] as const)
      .filter((key) => values[key] < needed)
      .map((key) => ({
        keys: [key, "message.max.bytes"],
        reason: `must be at least message.max.bytes + ${messageOverheadBytes}`,
        remedy: `Raise ${key} to ${needed} or lower message.max.bytes: the largest batch has to fit into one message.`,
        severity: "error",
      }));
  },
};

/** A batch is never split over two segments. */
export const largestBatchFitsSegment: Rule<{
  readonly "message.max.bytes": number;
  readonly "log.segment.bytes": number;
}> = {
  needs: ["message.max.bytes", "log.segment.bytes"],
  check: (values) =>
    values["message.max.bytes"] <= values["log.segment.bytes"]
      ? []
      : [
          {
            keys: ["message.max.bytes", "log.segment.bytes"],
            reason: "must be at most log.segment.bytes",
            remedy: "Raise log.segment.bytes: a batch is never split over two segments.",
            severity: "error",
          },
        ],
};

/** A stream's queue is part of its connection's. */
export const queuesNest: Rule<{
  readonly "queued.max.bytes.per.stream": number;
  readonly "queued.max.bytes.per.connection": number;
}> = {
  needs: ["queued.max.bytes.per.stream", "queued.max.bytes.per.connection"],
  check: (values) =>
    values["queued.max.bytes.per.stream"] <= values["queued.max.bytes.per.connection"]
      ? []
      : [
          {
            keys: ["queued.max.bytes.per.stream", "queued.max.bytes.per.connection"],
            reason: "must be at most queued.max.bytes.per.connection",
            remedy: "Lower the one or raise the other.",
            severity: "error",
          },
        ],
};
