/** What the tests of generated clients share: the pages for people, and programs that have to end well. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runProgram } from "../src/index.ts";

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

/** Runs a program and gives back what it printed. Throws what it said where it did not end with 0. */
export async function mustRun(
  program: string,
  args: readonly string[],
  options: { readonly env?: NodeJS.ProcessEnv; readonly cwd?: string } = {},
): Promise<string> {
  const { code, stdout, stderr } = await runProgram(program, args, options);
  if (code === 0) return stdout.toString();
  throw new Error(`${program} ${args.join(" ")} ended with ${code}:\n${stdout.toString().slice(-4000)}\n${stderr}`);
}
