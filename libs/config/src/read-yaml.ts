import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import type { Entry, Problem, SourceReading } from "./source.ts";

/**
 * Reads a YAML file of settings. Keys may be dotted, nested, or both mixed: `broker: { session.timeout.ms: 6000 }`.
 * Every scalar is taken as the text that stands in the file, so that the file means what the same text means in a flag;
 * a sequence is a list.
 */
export function readYaml(file: { readonly name: string; readonly text: string }): SourceReading {
  const lines = new LineCounter();
  const document = parseDocument(file.text, { schema: "failsafe", lineCounter: lines, uniqueKeys: false });
  const entries: Entry[] = [];
  const problems: Problem[] = [];
  const sourceAt = (position: number) =>
    ({ kind: "file", name: file.name, line: lines.linePos(position).line }) as const;
  const report = (key: string | undefined, position: number, reason: string, remedy: string) => {
    problems.push({ key, value: undefined, source: sourceAt(position), reason, remedy });
  };

  const visitMap = (prefix: string, map: Node | null) => {
    if (!isMap(map)) return;
    for (const { key, value } of map.items) {
      if (!isScalar(key)) {
        report(prefix === "" ? undefined : prefix, startOf(map), "has a key that is no text", "Write key: value.");
        continue;
      }
      visit(`${prefix === "" ? "" : `${prefix}.`}${String(key.value)}`, key, value as Node | null);
    }
  };

  const visit = (key: string, keyNode: Node, value: Node | null) => {
    const position = startOf(value ?? keyNode);
    if (isMap(value)) {
      visitMap(key, value);
    } else if (isSeq(value)) {
      const text = sequenceText(value.items);
      if (text === undefined) {
        report(key, position, "is a list of something other than plain items", "Write items without commas in them.");
      } else entries.push({ key, text, source: sourceAt(startOf(keyNode)) });
    } else if (isAlias(value)) {
      report(key, position, "is an alias", "Write the value itself; anchors and aliases are not supported.");
    } else if (!isScalar(value) || isEmptyScalar(value)) {
      report(key, position, "has no value", 'Write one, "" for an empty text or list, or take the line out.');
    } else entries.push({ key, text: String(value.value), source: sourceAt(startOf(keyNode)) });
  };

  for (const error of document.errors) {
    report(undefined, error.pos[0], `is not YAML: ${firstLine(error.message)}`, "Mend the file.");
  }
  const root: Node | null = document.contents;
  if (document.errors.length === 0 && root !== null && !isMap(root) && !isEmptyScalar(root)) {
    report(undefined, startOf(root), "does not hold settings", "Write key: value on each line.");
  }
  if (document.errors.length === 0) visitMap("", root);
  return { entries, problems };
}

function startOf(node: Node): number {
  return node.range?.[0] ?? 0;
}

/** Nothing stands there: `key:` as opposed to `key: ""`. */
function isEmptyScalar(node: Node): boolean {
  return isScalar(node) && node.value === "" && node.type === "PLAIN";
}

/** The items as one text. Undefined where one is no scalar or has a comma, which would make two items of it. */
function sequenceText(items: readonly unknown[]): string | undefined {
  const texts: string[] = [];
  for (const item of items) {
    if (!isScalar(item) || String(item.value).includes(",")) return undefined;
    texts.push(String(item.value));
  }
  return texts.join(",");
}

function firstLine(message: string): string {
  return (message.split("\n")[0] ?? message).replace(/ at line \d+, column \d+:?$/, "");
}
