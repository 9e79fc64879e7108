/** What the tests of generated clients share: the pages for people. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's own folder. */
export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");

/** Where tools that were made once are kept. */
export const kept = join(root, ".interop");

/** Every piece of code in a language on a page of docs/clients, in their order. */
function piecesOf(page: string, language: string): readonly string[] {
  const text = readFileSync(join(root, "docs", "clients", page), "utf8");
  const pieces = text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm);
  const found = Array.from(pieces).flatMap(([, of, code]) => (of === language && code !== undefined ? [code] : []));
  if (found.length === 0) throw new Error(`${page} has no code in ${language}`);
  return found;
}

/** The first piece of code in a language on a page of docs/clients. */
export const codeOf = (page: string, language: string): string => piecesOf(page, language)[0] ?? "";

/** The lines of all pieces of code in a language on a page of docs/clients. */
export const linesOf = (page: string, language: string): readonly string[] =>
  piecesOf(page, language).flatMap((code) => code.trimEnd().split("\n"));
