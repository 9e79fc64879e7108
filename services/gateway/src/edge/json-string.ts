const [quote, backslash] = [0x22, 0x5c];

/** Behind the quote that ends the string whose first byte is at `start`. The end of the text where none does. */
export function behindString(text: Buffer, start: number): number {
  let end = text.indexOf(quote, start);
  while (end !== -1 && isEscaped(text, start, end)) end = text.indexOf(quote, end + 1);
  return end === -1 ? text.length : end + 1;
}

function isEscaped(text: Buffer, start: number, at: number): boolean {
  let backslashes = 0;
  while (at - backslashes > start && text[at - backslashes - 1] === backslash) backslashes++;
  return backslashes % 2 === 1;
}
