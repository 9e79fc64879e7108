import { fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { bytesToText, textToBytes } from "./text.ts";

/** JSON text, in UTF-8, of a value. Undefined where it is none: a number that is not finite, or no value at all. */
export function jsonToBytes(value: Value): Uint8Array | undefined {
  try {
    return textToBytes(JSON.stringify(toJson(ValueSchema, value)));
  } catch {
    return undefined;
  }
}

/**
 * The value of JSON text. Undefined where it is none, and where a number in it would change: JSON numbers travel as
 * doubles, so whole numbers beyond 2^53, and numbers beyond all doubles, which no answer in JSON can hold, are left to the
 * text form.
 */
export function bytesToJson(bytes: Uint8Array): Value | undefined {
  const text = bytesToText(bytes);
  if (text === undefined) return undefined;
  try {
    return fromJson(ValueSchema, JSON.parse(text, refuseInexact) as JsonValue);
  } catch {
    return undefined;
  }
}

function refuseInexact(_key: string, value: unknown): unknown {
  if (typeof value !== "number") return value;
  if (Number.isInteger(value) ? Number.isSafeInteger(value) : Number.isFinite(value)) return value;
  throw new RangeError(`${value} is no double, or beyond 2^53`);
}
