import { formatProblem, parseTopicSettings, topicSchema } from "@tidemark/config";
import { type Decision, refused } from "@tidemark/metadata";
import { Reason } from "@tidemark/proto/common/v1";

/** Settings of a topic that were checked: each in its shortest text, and what the metadata need of them. */
export interface CheckedSettings {
  readonly kind: "checked";
  readonly settings: ReadonlyMap<string, string>;
  /** `min.insync.replicas`. Undefined where it is not set. */
  readonly minInsyncReplicas: number | undefined;
}

/** Checks settings as a client gives them. Every problem is told, never only the first. */
export function checkTopicSettings(
  topic: string,
  given: Readonly<Record<string, string>>,
): CheckedSettings | Extract<Decision<never>, { kind: "refused" }> {
  const parsed = parseTopicSettings(given);
  if (!parsed.ok) return refused(Reason.INVALID_CONFIG, parsed.problems.map(formatProblem).join(" "), { topic });
  return {
    kind: "checked",
    settings: new Map(Object.entries(parsed.texts)),
    minInsyncReplicas: parsed.settings["min.insync.replicas"],
  };
}

/** Refuses keys to unset that no topic has, and names the nearest known one. Undefined where all are known. */
export function checkUnsetKeys(
  topic: string,
  keys: readonly string[],
): Extract<Decision<never>, { kind: "refused" }> | undefined {
  const unknown = keys.filter((key) => !Object.hasOwn(topicSchema.settings, key));
  if (unknown.length === 0) return undefined;
  const checked = checkTopicSettings(topic, Object.fromEntries(unknown.map((key) => [key, ""])));
  return checked.kind === "refused" ? checked : undefined;
}
