import { behindString } from "./json-string.ts";

/**
 * A whole number in JSON that would have other digits once it was read: JSON numbers become doubles, which hold whole
 * numbers exactly up to 2^53 and only some beyond. Undefined where there is none. What has a fraction or an exponent is
 * written as doubles are, and let be. What is no JSON is the parser's to refuse.
 */
export function inexactNumber(bytes: Uint8Array): string | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  while (at < text.length) {
    const byte = text[at] ?? 0;
    if (byte === quote) at = behindString(text, at + 1);
    else if (isDigit(byte)) {
      const end = endOfNumber(text, at);
      const isChanged = end - at >= digitsMin && changes(text.toString("latin1", at, end));
      if (isChanged) return text.toString("latin1", text[at - 1] === minus ? at - 1 : at, Math.min(end, at + shownMax));
      at = end;
    } else at++;
  }
  return undefined;
}

/** Every whole number of fewer digits is below 2^53. */
const digitsMin = 16;
/** How many digits are shown of one. */
const shownMax = 40;

const [quote, minus] = [0x22, 0x2d];
/** Of a fraction and an exponent. */
const numberBytes: ReadonlySet<number> = new Set(Buffer.from(".eE+-"));

const isDigit = (byte: number) => byte >= 0x30 && byte <= 0x39;

function endOfNumber(text: Buffer, start: number): number {
  for (let end = start; end < text.length; end++) {
    const byte = text[end] ?? 0;
    if (!isDigit(byte) && !numberBytes.has(byte)) return end;
  }
  return text.length;
}

function changes(number: string): boolean {
  if (!/^\d+$/.test(number)) return false;
  const double = Number(number);
  return !Number.isFinite(double) || significant(String(double)) !== significant(number);
}

/** Digits without the zeros behind them, the point and the exponent: of a number and its double those are the same. */
function significant(number: string): string {
  return number.replace(/e.*/, "").replace(".", "").replace(/0+$/, "");
}
