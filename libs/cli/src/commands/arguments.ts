import { InvalidArgumentError, Option } from "commander";
import { lineBytesMax } from "../produce/line-limit.ts";

/** What a request can say of a number. */
const uint32Max = 2 ** 32 - 1;

/** A whole number that is not negative, and that a request can hold. */
export function wholeNumber(text: string): number {
  return numberWithin(text, 0, uint32Max);
}

/** Half of the 32-bit epochs is left to the elections that come. No broker is believed to have seen more, either. */
const epochFloorMax = 2 ** 30;

/** A controller epoch to begin with, from 0: behind the last one there is none that could be claimed. */
export function epochFloor(text: string): number {
  const value = wholeNumber(text);
  if (value > epochFloorMax)
    throw new InvalidArgumentError(`Write ${epochFloorMax} at most: elections need the epochs behind it.`);
  return value;
}

/** A whole number from 1 on. */
export function positiveNumber(text: string): number {
  return numberWithin(text, 1, Number.MAX_SAFE_INTEGER);
}

/** A whole number from 1 on that a request can hold. */
export function positiveCount(text: string): number {
  return numberWithin(text, 1, uint32Max);
}

/** Bytes of a value, up to what one message between a client and any process can have. */
export function valueSize(text: string): number {
  return numberWithin(text, 1, lineBytesMax);
}

/** A whole number from `least` to `most`. */
export function numberBetween(least: number, most: number): (text: string) => number {
  return (text) => numberWithin(text, least, most);
}

function numberWithin(text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  const range = most === Number.MAX_SAFE_INTEGER ? `from ${least} on` : `from ${least} to ${most}`;
  throw new InvalidArgumentError(`Write a whole number ${range}.`);
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

/** A flag that may be repeated. `none`: what it is where it is not given, told as `meaning`. */
export function repeated<Value>(
  flags: string,
  description: string,
  { parse, none, meaning }: { parse: (text: string, before: Value) => Value; none: Value; meaning: string },
): Option {
  return new Option(flags, `${description}; may be repeated`).argParser(parse).default(none, meaning);
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
