import { accepted, type Kind, type Parsed, rejected } from "./kind.ts";

/** Both ends belong to the range. */
export interface Range {
  readonly min?: number;
  readonly max?: number;
  /** One more value with a meaning of its own, outside the range: Kafka writes "no limit" as -1. */
  readonly except?: { readonly value: number; readonly means: string };
}

/** A whole number. `unit` is a word for messages: "records". */
export function integer(range: Range & { readonly unit?: string } = {}): Kind<number> {
  return numeric({ range, noun: range.unit ?? "", example: "", parse: parseInteger });
}

const durationUnits: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds: a plain number, or one with ms, s, m, h or d. */
export function duration(range: Range = {}): Kind<number> {
  return numeric({
    range,
    noun: "milliseconds",
    example: ", or a number with ms, s, m, h or d (1500, 30s)",
    parse: (text) => parseWithUnit(text, durationUnits),
  });
}

const byteUnits: Readonly<Record<string, number>> = { kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40 };

/** Bytes: a plain number, or one with KiB, MiB, GiB or TiB. Decimal units are refused: people mean either by them. */
export function bytes(range: Range = {}): Kind<number> {
  return numeric({
    range,
    noun: "bytes",
    example: ", or a number with KiB, MiB, GiB or TiB (1048576, 1MiB)",
    parse: (text) => parseWithUnit(text, byteUnits),
  });
}

/** A share, from 0 to 1. */
export function ratio(): Kind<number> {
  return {
    form: "a number from 0 to 1 (0.5)",
    parse(text) {
      const trimmed = text.trim();
      if (!/^\d+(\.\d+)?$/.test(trimmed)) return rejected("is not a number of that form");
      const value = Number(trimmed);
      return value > 1 ? rejected("is above 1") : accepted(value);
    },
    format: String,
  };
}

function numeric(of: {
  readonly range: Range;
  readonly noun: string;
  readonly example: string;
  readonly parse: (text: string) => number | undefined;
}): Kind<number> {
  const { min = 0, max = Number.MAX_SAFE_INTEGER, except } = of.range;
  const exception = except === undefined ? "" : `, or ${except.value} (${except.means})`;
  const form = `${describeRange(min, max, of.noun)}${of.example}${exception}`;
  const check = (value: number | undefined): Parsed<number> => {
    if (value === undefined) return rejected("is not a whole number of that form");
    if (value === except?.value) return accepted(value);
    if (value < min) return rejected(`is below ${min}`);
    if (value > max) return rejected(`is above ${max}`);
    return accepted(value);
  };
  return { form, parse: (text) => check(of.parse(text.trim())), format: String };
}

function describeRange(min: number, max: number, noun: string): string {
  const what = noun === "" ? "a whole number" : `a whole number of ${noun}`;
  return max === Number.MAX_SAFE_INTEGER ? `${what}, ${min} or more` : `${what} from ${min} to ${max}`;
}

function parseInteger(text: string): number | undefined {
  if (!/^-?\d+$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

function parseWithUnit(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(-?\d+)\s*([a-z]*)$/i.exec(text);
  const digits = parseInteger(match?.[1] ?? "");
  const unit = match?.[2]?.toLowerCase() ?? "";
  const factor = unit === "" ? 1 : units[unit];
  if (digits === undefined || factor === undefined) return undefined;
  const value = digits * factor;
  return Number.isSafeInteger(value) ? value : undefined;
}
