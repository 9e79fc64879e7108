import type { Attributes } from "@opentelemetry/api";
import type { AttributeName } from "./names.ts";

/** A bigint (an offset, a revision) is kept as a number where that is exact, else as its digits. */
export type AttributeInput = string | number | boolean | bigint | readonly string[] | readonly number[] | undefined;

/** Attributes of a span. Those that are undefined are left out. */
export type SpanAttributes = { readonly [Name in AttributeName]?: AttributeInput };

export function toAttributes(given: SpanAttributes): Attributes {
  const attributes: Attributes = {};
  for (const [name, value] of Object.entries<AttributeInput>(given)) {
    if (value === undefined) continue;
    if (typeof value === "bigint") attributes[name] = exactNumber(value);
    else if (typeof value === "number") attributes[name] = toThousandths(value);
    else attributes[name] = typeof value === "object" ? ([...value] as string[] | number[]) : value;
  }
  return attributes;
}

/** Durations are measured in milliseconds: what lies behind the microseconds is noise. */
function toThousandths(value: number): number {
  return Number.isInteger(value) ? value : Math.round(value * 1000) / 1000;
}

/** The number where it is exact, else its digits. */
export function exactNumber(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}
