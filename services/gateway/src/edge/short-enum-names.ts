/**
 * People write `"format": "TEXT"` where the protobuf JSON form is `"FORMAT_TEXT"`. The short names are made full before
 * the protocol library reads a request; whatever is no such name goes on as it came, for the library to refuse.
 */
import type { DescEnum, DescField, DescMessage } from "@bufbuild/protobuf";

/** Bytes of a stream's frame before its message: flags, then the length. */
const framePrefixBytes = 5;

/**
 * What makes the names of requests of a type full, as bytes of JSON; undefined for types without enums. `isFramed`: the
 * JSON is the one message of a stream. Above `limitBytes` the bytes go on as they came.
 */
export function createNameCompleter(schema: DescMessage) {
  const enums = new Set<DescEnum>();
  collectEnums(schema, enums, new Set());
  if (enums.size === 0) return undefined;
  const names = Array.from(enums).flatMap(({ values }) => values.map(({ localName }) => localName));
  // Most requests name none: they are not read twice.
  const mayNameOne = new RegExp(`"(?:${names.join("|")})"`, "i");

  return async function* completed(
    body: AsyncIterable<Uint8Array>,
    { isFramed, limitBytes }: { readonly isFramed: boolean; readonly limitBytes: number },
  ): AsyncGenerator<Uint8Array> {
    const pieces: Uint8Array[] = [];
    let length = 0;
    for await (const piece of body) {
      if (length > limitBytes) {
        yield piece;
        continue;
      }
      pieces.push(piece);
      length += piece.length;
      if (length > limitBytes) yield Buffer.concat(pieces);
    }
    if (length > limitBytes) return;
    const bytes = Buffer.concat(pieces);
    const prefixBytes = isFramed ? framePrefixBytes : 0;
    const text = bytes.subarray(prefixBytes).toString();
    if (!mayNameOne.test(text)) yield bytes;
    else yield* frame(completeText(schema, text) ?? text, bytes.subarray(0, prefixBytes));
  };
}

function* frame(text: string, prefix: Uint8Array): Generator<Uint8Array> {
  const json = Buffer.from(text);
  if (prefix.length > 0) {
    const head = Buffer.from(prefix);
    head.writeUInt32BE(json.length, 1);
    yield head;
  }
  yield json;
}

/** Undefined where it is no JSON, which others say better. */
function completeText(schema: DescMessage, text: string): string | undefined {
  try {
    return JSON.stringify(completeMessage(schema, JSON.parse(text)));
  } catch {
    return undefined;
  }
}

function collectEnums(schema: DescMessage, into: Set<DescEnum>, seen: Set<DescMessage>): void {
  if (seen.has(schema) || isOfGoogle(schema)) return;
  seen.add(schema);
  for (const field of schema.fields) {
    if (field.enum !== undefined) into.add(field.enum);
    if (field.message !== undefined) collectEnums(field.message, into, seen);
  }
}

/** The JSON of records is their own, and times have a form of their own. */
function isOfGoogle({ typeName }: DescMessage): boolean {
  return typeName.startsWith("google.protobuf.");
}

function completeMessage(schema: DescMessage, json: unknown): unknown {
  if (typeof json !== "object" || json === null || Array.isArray(json) || isOfGoogle(schema)) return json;
  const given = json as Readonly<Record<string, unknown>>;
  const completed: Record<string, unknown> = { ...given };
  for (const field of schema.fields) {
    for (const name of [field.name, field.jsonName]) {
      if (Object.hasOwn(given, name)) completed[name] = completeField(field, given[name]);
    }
  }
  return completed;
}

function completeField(field: DescField, json: unknown): unknown {
  if (Array.isArray(json)) return json.map((each) => completeField(field, each));
  if (field.message !== undefined && field.fieldKind !== "map") return completeMessage(field.message, json);
  if (field.enum === undefined || typeof json !== "string") return json;
  return field.enum.values.find(({ localName }) => localName === json.toUpperCase())?.name ?? json;
}
