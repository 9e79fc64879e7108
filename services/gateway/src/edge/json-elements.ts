import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { behindString } from "./json-string.ts";

/**
 * Counts what a request in JSON would make, before it is parsed: the same things as `countElements` of the binary form,
 * and never fewer. Three bytes can be an empty record, so that a limit on bytes bounds neither memory nor time.
 *
 * | a value                                                  | counts               |
 * |----------------------------------------------------------|----------------------|
 * | of a field of a scalar or enum type, alone               | 0                    |
 * | of a field that is a message                             | 1                    |
 * | of a field that is not known, or whose name is escaped   | 1                    |
 * | in a list                                                | 1                    |
 * | in a map                                                 | 1, of a message 2    |
 * | in JSON that is data (`google.protobuf.Value`)           | 1, behind a name 2   |
 * | an object or list in JSON that is data or not expected   | 1 more               |
 *
 * Stops above `limit`. What is no JSON is the parser's to refuse: up to where it stops the count is right.
 */
export function countJsonElements(schema: DescMessage, bytes: Uint8Array, limit: number): number {
  // An element has one byte at least.
  if (bytes.length <= limit) return 0;
  const scan: Scan = {
    text: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length),
    // Whoever decodes the text leaves a byte order mark out.
    at: byteOrderMark.every((byte, index) => bytes[index] === byte) ? byteOrderMark.length : 0,
    open: [],
    frame: undefined,
    next: { place: placeOf(schema), weight: 0 },
    isNamed: true,
    count: 0,
  };
  while (scan.at < scan.text.length && scan.count <= limit) step(scan);
  return scan.count;
}

/** Where a value stands, by the type of what it is to become. */
type Place =
  | { readonly kind: "scalar" }
  /** JSON that is data, or that nobody knows. */
  | { readonly kind: "free" }
  | { readonly kind: "message"; readonly fields: () => ReadonlyMap<string, Entry> }
  | { readonly kind: "list"; readonly entry: Entry }
  | { readonly kind: "map"; readonly entry: Entry };

/** What a value counts, and where it stands. */
interface Entry {
  readonly place: Place;
  readonly weight: number;
}

/** An object or list that is open. */
interface Frame {
  readonly isObject: boolean;
  readonly place: Place;
}

interface Scan {
  readonly text: Buffer;
  at: number;
  readonly open: (Frame | undefined)[];
  frame: Frame | undefined;
  /** Of the value that comes next, where `isNamed`. */
  next: Entry;
  /** In an object: its name has been read. */
  isNamed: boolean;
  count: number;
}

const scalar: Place = { kind: "scalar" };
const free: Place = { kind: "free" };
const unknownField: Entry = { place: free, weight: 1 };
const freeInList: Entry = { place: free, weight: 1 };
const freeInObject: Entry = { place: free, weight: 2 };

const byteOrderMark = [0xef, 0xbb, 0xbf] as const;
const [quote, openBrace, closeBrace] = [0x22, 0x7b, 0x7d];
const [openBracket, closeBracket, comma, colon] = [0x5b, 0x5d, 0x2c, 0x3a];

/** Takes one token, or one byte of a number or literal. */
function step(scan: Scan): void {
  const byte = scan.text[scan.at++] ?? 0;
  switch (byte) {
    case openBrace:
    case openBracket:
      open(scan, byte === openBrace);
      return;
    case closeBrace:
    case closeBracket:
      scan.frame = scan.open.pop();
      scan.isNamed = false;
      return;
    case comma:
      scan.isNamed = scan.frame?.isObject !== true;
      if (scan.isNamed) scan.next = entryOf(scan.frame, "");
      return;
    case quote:
      takeString(scan);
      return;
    default:
      // Of a number or literal the first byte is the value; blanks and colons are none.
      if (byte > 0x20 && byte !== colon) takeValue(scan);
  }
}

/** Counts the value that begins here, once. */
function takeValue(scan: Scan): Place {
  if (!scan.isNamed) return free;
  scan.isNamed = false;
  scan.count += scan.next.weight;
  return scan.next.place;
}

function open(scan: Scan, isObject: boolean): void {
  const place = takeValue(scan);
  const isExpected = isObject ? place.kind === "message" || place.kind === "map" : place.kind === "list";
  if (!isExpected) scan.count++;
  scan.open.push(scan.frame);
  scan.frame = { isObject, place: isExpected ? place : free };
  scan.isNamed = !isObject;
  if (!isObject) scan.next = entryOf(scan.frame, "");
}

/** A name where one is due, else a value. */
function takeString(scan: Scan): void {
  const start = scan.at;
  scan.at = behindString(scan.text, start);
  const end = scan.at - 1;
  if (scan.isNamed || scan.frame?.isObject !== true) {
    takeValue(scan);
    return;
  }
  const name = end - start <= nameBytesMax ? scan.text.toString("latin1", start, end) : "";
  scan.next = entryOf(scan.frame, name);
  scan.isNamed = true;
}

/** No field has a longer name. */
const nameBytesMax = 64;

function entryOf(frame: Frame | undefined, name: string): Entry {
  switch (frame?.place.kind) {
    case "message":
      return frame.place.fields().get(name) ?? unknownField;
    case "map":
    case "list":
      return frame.place.entry;
    default:
      return frame?.isObject === true ? freeInObject : freeInList;
  }
}

const places = new WeakMap<DescMessage, Place>();

function placeOf(schema: DescMessage): Place {
  const known = places.get(schema);
  if (known !== undefined) return known;
  let fields: ReadonlyMap<string, Entry> | undefined;
  const place: Place = schema.typeName.startsWith("google.protobuf.")
    ? free
    : { kind: "message", fields: () => (fields ??= fieldsOf(schema)) };
  places.set(schema, place);
  return place;
}

function fieldsOf(schema: DescMessage): ReadonlyMap<string, Entry> {
  return new Map(
    schema.fields.flatMap((field) => {
      const entry = entryOfField(field);
      return [
        [field.name, entry],
        [field.jsonName, entry],
      ] as const;
    }),
  );
}

function entryOfField(field: DescField): Entry {
  switch (field.fieldKind) {
    case "scalar":
    case "enum":
      return { place: scalar, weight: 0 };
    case "message":
      return { place: placeOf(field.message), weight: 1 };
    case "list":
      return { place: { kind: "list", entry: { place: innerPlace(field.message), weight: 1 } }, weight: 0 };
    case "map": {
      const weight = field.message === undefined ? 1 : 2;
      return { place: { kind: "map", entry: { place: innerPlace(field.message), weight } }, weight: 0 };
    }
  }
}

function innerPlace(message: DescMessage | undefined): Place {
  return message === undefined ? scalar : placeOf(message);
}
