const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The UTF-8 bytes of a text. */
export function textToBytes(text: string): Uint8Array {
  return encoder.encode(text);
}

/** The text of UTF-8 bytes; undefined where they are not valid UTF-8. */
export function bytesToText(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}
