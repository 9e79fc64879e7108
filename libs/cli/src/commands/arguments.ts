import { InvalidArgumentError } from "commander";

/** A whole number that is not negative. */
export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError("Write a whole number from 0 on.");
  }
  return value;
}

/** A whole number from 1 on. */
export function positiveNumber(text: string): number {
  if (!/^\d+$/.test(text) || Number(text) === 0) throw new InvalidArgumentError("Write a whole number from 1 on.");
  return wholeNumber(text);
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000 };

/** A span of time in milliseconds, written `500ms`, `30s`, `2m`, or a bare count of milliseconds. */
export function timeSpan(text: string): number {
  const [, digits = "", unit = "ms"] = /^(\d+)([a-z]+)?$/.exec(text) ?? [];
  const factor = units[unit];
  const value = Number(digits) * (factor ?? 0);
  if (digits === "" || factor === undefined || value <= 0 || value > 2 ** 31 - 1) {
    throw new InvalidArgumentError("Write a time such as 500ms, 30s or 2m.");
  }
  return value;
}

/** `key=value`, collected over the uses of a flag. */
export function keyValue(text: string, before: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("Write key=value.");
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

/** Values of a flag that may be repeated, in their order. */
export function collected(text: string, before: readonly string[]): readonly string[] {
  return [...before, text];
}

/** Whole numbers of a flag that may be repeated. */
export function collectedNumbers(text: string, before: readonly number[]): readonly number[] {
  return [...before, wholeNumber(text)];
}

/** An offset. */
export function wholeOffset(text: string): bigint {
  if (!/^\d{1,18}$/.test(text)) throw new InvalidArgumentError("Write an offset: a whole number from 0 on.");
  return BigInt(text);
}
