/** Where a value came from, in the order in which one overrides the other: the last wins. */
export type Source =
  | { readonly kind: "default" }
  /** `line` counts from 1. */
  | { readonly kind: "file"; readonly name: string; readonly line: number }
  | { readonly kind: "environment"; readonly variable: string }
  | { readonly kind: "flag"; readonly flag: string }
  /** Given by a client in a call, for a topic. */
  | { readonly kind: "request" };

/** Text that a source gives for a key, before anything is known about the key. */
export interface Entry {
  readonly key: string;
  readonly text: string;
  readonly source: Source;
}

/** What a source yields: entries in its order, and what could not be read as an entry. */
export interface SourceReading {
  readonly entries: readonly Entry[];
  readonly problems: readonly Problem[];
}

/** Something wrong with the settings, said so that whoever runs the process can mend it. */
export interface Problem {
  /** The key in question, if one is. */
  readonly key: string | undefined;
  /** The text that was given, "***" for a secret and for a key that is not known; undefined where none was. */
  readonly value: string | undefined;
  readonly source: Source | undefined;
  /** What is wrong: a clause that continues the key and its value. */
  readonly reason: string;
  /** What to do about it: a sentence. */
  readonly remedy: string;
}

/** What stands in the place of a secret. */
export const masked = "***";

export function formatSource(source: Source): string {
  switch (source.kind) {
    case "default":
      return "default";
    case "file":
      return `${source.name}:${source.line}`;
    case "environment":
      return `variable ${source.variable}`;
    case "flag":
      return `flag ${source.flag}`;
    case "request":
      return "request";
  }
}

/** One line: `log.level = "loud" (tidemark.yaml:3) is none of ... Write one of ...` */
export function formatProblem({ key, value, source, reason, remedy }: Problem): string {
  const subject = [
    key,
    value === undefined ? undefined : `= "${value}"`,
    source === undefined ? undefined : `(${formatSource(source)})`,
  ].filter((part) => part !== undefined);
  return `${subject.join(" ")} ${reason}. ${remedy}`.trimStart();
}

/** Every problem on a line of its own, under a line that says how many there are. */
export function formatProblems(problems: readonly Problem[]): string {
  const count = problems.length === 1 ? "One setting is" : `${problems.length} settings are`;
  return [`${count} wrong:`, ...problems.map((problem) => `  ${formatProblem(problem)}`)].join("\n");
}
