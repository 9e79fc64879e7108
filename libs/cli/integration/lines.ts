import { createHash, type Hash } from "node:crypto";
import { crc32c } from "@tidemark/compression";
import { murmur2 } from "@tidemark/format";

/** The lines of some bytes, each as a number of 53 bits that other lines hardly ever have. */
export type Lines = Float64Array;

/** What stands behind the last `\n` counts as a line too, unless it is empty. */
export function linesOf(bytes: Buffer): Lines {
  const lines: number[] = [];
  for (let from = 0; from < bytes.length; ) {
    const newline = bytes.indexOf(0x0a, from);
    const end = newline === -1 ? bytes.length : newline;
    const line = bytes.subarray(from, end);
    lines.push(crc32c(line) * 2 ** 21 + (murmur2(line) & 0x1fffff));
    from = end + 1;
  }
  return Float64Array.from(lines);
}

/** How many of `part` could be found in `whole` in this order, each behind the one before it. */
export function orderedWithin(whole: Lines, part: Lines): number {
  let found = 0;
  for (let at = 0; at < whole.length && found < part.length; at++) if (whole[at] === part[found]) found++;
  return found;
}

function counts(lines: readonly Lines[]): Map<number, number> {
  const result = new Map<number, number>();
  for (const each of lines) for (const line of each) result.set(line, (result.get(line) ?? 0) + 1);
  return result;
}

/** Lines that `found` has fewer times than `expected`, and lines that it has more times: how many too few, too many. */
export function difference(
  expected: Lines,
  found: readonly Lines[],
): { readonly missing: number; readonly extra: number } {
  const wanted = counts([expected]);
  let extra = 0;
  for (const [line, times] of counts(found)) {
    const due = wanted.get(line) ?? 0;
    extra += Math.max(0, times - due);
    wanted.set(line, Math.max(0, due - times));
  }
  let missing = 0;
  for (const times of wanted.values()) missing += times;
  return { missing, extra };
}

/** A line, and the key that it is sent under. */
export interface KeyedLine {
  readonly key: Buffer;
  readonly value: Buffer;
}

/** The lines of some bytes under their first word. */
export function keyedLines(bytes: Buffer): readonly KeyedLine[] {
  const lines: KeyedLine[] = [];
  for (let from = 0; from < bytes.length; ) {
    const newline = bytes.indexOf(0x0a, from);
    const value = bytes.subarray(from, newline === -1 ? bytes.length : newline);
    const space = value.indexOf(0x20);
    lines.push({ key: value.subarray(0, space === -1 ? value.length : space), value });
    from += value.length + 1;
  }
  return lines;
}

/** One digest of all lines of each key, in their order: equal where the same lines came, each as often, in one order. */
export function digestsByKey(lines: readonly KeyedLine[]): Readonly<Record<string, string>> {
  const hashes = new Map<string, Hash>();
  for (const { key, value } of lines) {
    const name = key.toString("latin1");
    const hash = hashes.get(name) ?? createHash("sha256");
    hashes.set(name, hash.update(value).update("\n"));
  }
  return Object.fromEntries(Array.from(hashes, ([name, hash]) => [name, hash.digest("hex")]));
}
