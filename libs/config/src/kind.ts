/** What a kind needs beside the text of a value. */
export interface ParseContext {
  /** Absolute directory that relative paths start from. */
  readonly baseDirectory: string;
}

export type Parsed<Value> =
  | { readonly ok: true; readonly value: Value }
  /** `reason` continues the sentence that begins with the key and the value: "is not a whole number". */
  | { readonly ok: false; readonly reason: string };

/**
 * A form that values have: how it is written, read and shown.
 *
 * Both functions are methods for the compiler's sake: kinds of different values stand in one record of settings.
 */
export interface Kind<Value> {
  /** What a value looks like, as the object of "write ...": "a whole number from 1 to 100". */
  readonly form: string;
  /** Takes text from a file, the environment or a flag; every source gives text, so all three accept the same. */
  parse(text: string, context: ParseContext): Parsed<Value>;
  /** The shortest text that `parse` reads as this value. */
  format(value: Value): string;
}

export function accepted<Value>(value: Value): Parsed<Value> {
  return { ok: true, value };
}

export function rejected(reason: string): Parsed<never> {
  return { ok: false, reason };
}
