import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";

/**
 * Counts what decoding a message would make: each entry of a list or map, each message inside, and each field that is not
 * known, at all depths. Two bytes can be such an element and cost a hundred in memory, so that a limit on bytes alone bounds
 * neither the memory nor the time that a request takes.
 *
 * Reads as protobuf-es does, or a message could be made that is less to this than to the decoder: the type on the wire
 * counts for fields that are not known and for packed lists only, a message inside may reach past the one around it, and
 * a group that is not known is skipped whole. How deep messages lie is the decoder's to bound.
 *
 * Stops above `limit`, and where the decoder throws. What lies inside of text and bytes is passed over.
 */
export function countElements(schema: DescMessage, bytes: Uint8Array, limit: number): number {
  // An element has one byte at least.
  if (bytes.length <= limit) return 0;
  const reader: Reader = { bytes, at: 0 };
  const open: Frame[] = [];
  let frame: Frame = { plan: planOf(schema), end: bytes.length };
  let count = 0;
  for (;;) {
    while (reader.at >= frame.end) {
      const outer = open.pop();
      if (outer === undefined) return count;
      frame = outer;
    }
    const tag = readVarint(reader);
    const wireType = tag & 7;
    const field = frame.plan.get(tag >>> 3);
    switch (field?.kind) {
      case "one":
        skipScalar(reader, field.shape);
        break;
      case "list":
        count += skipValues(reader, field.shape, wireType);
        break;
      case "inner": {
        count++;
        const length = readVarint(reader);
        open.push(frame);
        frame = { plan: field.plan(), end: reader.at + length };
        break;
      }
      case undefined:
        count++;
        if (!skipUnknown(reader, wireType)) return count;
    }
    if (count > limit || reader.at > bytes.length) return count;
  }
}

const WireType = { varint: 0, fixed64: 1, lengthDelimited: 2, startGroup: 3, endGroup: 4, fixed32: 5 } as const;

interface Reader {
  readonly bytes: Uint8Array;
  at: number;
}

/** A message that is being read. */
interface Frame {
  readonly plan: Plan;
  readonly end: number;
}

/** How a value is read: as a varint, behind its length, or in so many bytes. */
type Shape = "varint" | "bytes" | 4 | 8;

type FieldPlan =
  /** One value that makes no object of its own: a later one takes its place. */
  | { readonly kind: "one"; readonly shape: Shape }
  | { readonly kind: "list"; readonly shape: Shape }
  /** A message or an entry of a map, one or many. */
  | { readonly kind: "inner"; readonly plan: () => Plan };

type Plan = ReadonlyMap<number, FieldPlan>;

const plans = new WeakMap<DescMessage, Plan>();

function planOf(schema: DescMessage): Plan {
  const known = plans.get(schema);
  if (known !== undefined) return known;
  const plan = new Map(schema.fields.map((field) => [field.number, planOfField(field)]));
  plans.set(schema, plan);
  return plan;
}

function planOfField(field: DescField): FieldPlan {
  switch (field.fieldKind) {
    case "scalar":
      return { kind: "one", shape: shapeOf(field.scalar) };
    case "enum":
      return { kind: "one", shape: "varint" };
    case "message":
      return innerPlan(field.message);
    case "map": {
      // An entry is a message of its key, 1, and its value, 2.
      const entry: Plan = new Map([
        [1, { kind: "one", shape: shapeOf(field.mapKey) }],
        [2, planOfValue(field)],
      ]);
      return { kind: "inner", plan: () => entry };
    }
    case "list":
      if (field.listKind === "message") return innerPlan(field.message);
      return { kind: "list", shape: field.listKind === "enum" ? "varint" : shapeOf(field.scalar) };
  }
}

function planOfValue(field: DescField & { fieldKind: "map" }): FieldPlan {
  switch (field.mapKind) {
    case "message":
      return innerPlan(field.message);
    case "enum":
      return { kind: "one", shape: "varint" };
    case "scalar":
      return { kind: "one", shape: shapeOf(field.scalar) };
  }
}

function innerPlan(message: DescMessage): FieldPlan {
  return { kind: "inner", plan: () => planOf(message) };
}

function shapeOf(scalar: ScalarType): Shape {
  switch (scalar) {
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return "bytes";
    case ScalarType.DOUBLE:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return 8;
    case ScalarType.FLOAT:
    case ScalarType.FIXED32:
    case ScalarType.SFIXED32:
      return 4;
    default:
      return "varint";
  }
}

function skipScalar(reader: Reader, shape: Shape): void {
  const length = typeof shape === "number" ? shape : readVarint(reader);
  if (shape !== "varint") reader.at += length;
}

/** How many values of a list stand here: one, or where it is packed as many as there are. The last may reach past its end. */
function skipValues(reader: Reader, shape: Shape, wireType: number): number {
  if (shape === "bytes" || wireType !== WireType.lengthDelimited) {
    skipScalar(reader, shape);
    return 1;
  }
  const end = readVarint(reader) + reader.at;
  let count = 0;
  for (; reader.at < end && reader.at < reader.bytes.length; count++) skipScalar(reader, shape);
  return count;
}

/** False where the decoder throws. */
function skipUnknown(reader: Reader, outermost: number): boolean {
  let groups = 0;
  let wireType = outermost;
  for (;;) {
    switch (wireType) {
      case WireType.varint:
        readVarint(reader);
        break;
      case WireType.fixed64:
        reader.at += 8;
        break;
      case WireType.fixed32:
        reader.at += 4;
        break;
      case WireType.lengthDelimited:
        skipScalar(reader, "bytes");
        break;
      case WireType.startGroup:
        groups++;
        break;
      case WireType.endGroup:
        groups--;
        break;
      default:
        return false;
    }
    if (groups < 0 || reader.at > reader.bytes.length) return false;
    if (groups === 0) return true;
    wireType = readVarint(reader) & 7;
  }
}

/**
 * The lower 32 bits, which is all that tags and lengths have. Of any length, as a field that is not known may be; at the
 * end of the bytes it ends.
 */
function readVarint(reader: Reader): number {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = reader.bytes[reader.at++] ?? 0;
    if (shift < 32) value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return value >>> 0;
  }
}
