/** Lines of `key=value`, as Kafka writes `meta.properties`. Keys and values have neither line ends nor `=` in the key. */
export function encodeProperties(properties: Readonly<Record<string, string>>): Uint8Array {
  const lines = Object.entries(properties).map(([key, value]) => `${key}=${value}\n`);
  return new TextEncoder().encode(lines.join(""));
}

/** Empty lines and lines that begin with `#` are left out. Undefined for a line without `=`. */
export function parseProperties(bytes: Uint8Array): ReadonlyMap<string, string> | undefined {
  const properties = new Map<string, string>();
  for (const line of new TextDecoder().decode(bytes).split("\n")) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const equals = line.indexOf("=");
    if (equals < 1) return undefined;
    properties.set(line.slice(0, equals).trim(), line.slice(equals + 1).trim());
  }
  return properties;
}
