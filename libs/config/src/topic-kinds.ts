import { accepted, type Kind, rejected } from "./kind.ts";
import { list, oneOf } from "./words.ts";

/** How Kafka writes "without limit". */
export const noLimit = { value: -1, means: "no limit" } as const;

/** `sync`: flushed to stable storage before it counts. `async`: left to the operating system, as Kafka does. */
export type FlushMode = "sync" | "async";

export function flushMode(): Kind<FlushMode> {
  return oneOf("sync", "async");
}

export type TimestampType = "CreateTime" | "LogAppendTime";

export function timestampType(): Kind<TimestampType> {
  return oneOf("CreateTime", "LogAppendTime");
}

export type CleanupPolicy = "delete" | "compact";

/** One policy or both: compacted first, then deleted by age and size. */
export function cleanupPolicy(): Kind<readonly CleanupPolicy[]> {
  const policies = list(oneOf("delete", "compact"));
  return {
    form: "delete, compact, or delete,compact",
    format: (value) => policies.format(value),
    parse: (text, context) => {
      const parsed = policies.parse(text, context);
      if (!parsed.ok) return parsed;
      return parsed.value.length === 0 ? rejected("names no policy") : accepted(parsed.value);
    },
  };
}
