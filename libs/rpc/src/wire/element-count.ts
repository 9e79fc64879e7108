import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";

/**
 * Counts what decoding a message would make: each entry of a list or map, each message inside, and each field that is not
 * known, at all depths. Two bytes can be such an element and cost a hundred in memory, so that a limit on bytes alone bounds
 * neither the memory nor the time that a request takes.
 *
 * Stops above `limit`, and where the bytes are no message: that is the decoder's to say. Walks the structure only; what lies
 * inside of text and bytes is passed over.
 */
export function countElements(schema: DescMessage, bytes: Uint8Array, limit: number): number {
  // An element has one byte at least.
  if (bytes.length <= limit) return 0;
  const reader: Reader = { bytes, at: 0 };
  const open: { readonly plan: Plan; readonly end: number }[] = [];
  let frame = { plan: planOf(schema), end: bytes.length };
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
    if (wireType !== WireType.endGroup && field?.isOne !== true) count++;
    if (count > limit) return count;
    if (wireType !== WireType.lengthDelimited) {
      if (!skipScalar(reader, wireType)) return count;
      continue;
    }
    const length = readVarint(reader);
    const end = reader.at + length;
    if (end > frame.end) return count;
    if (field?.inner !== undefined) {
      // The decoder refuses what is deeper.
      if (open.length >= depthMax) return count;
      open.push(frame);
      frame = { plan: field.inner(), end };
      continue;
    }
    if (field?.packed !== undefined) count += countPacked(reader, end, field.packed) - 1;
    if (count > limit) return count;
    reader.at = end;
  }
}

const WireType = { varint: 0, fixed64: 1, lengthDelimited: 2, startGroup: 3, endGroup: 4, fixed32: 5 } as const;

/** Messages within messages; protobuf-es takes as many. */
const depthMax = 100;

interface Reader {
  readonly bytes: Uint8Array;
  at: number;
}

interface FieldPlan {
  /** One value that makes no object of its own: a later one takes its place. */
  readonly isOne: boolean;
  /** What stands in each. */
  readonly inner?: () => Plan;
  /** Bytes of each of a packed list's values; 0: they are varints. */
  readonly packed?: number;
}

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
    case "enum":
      return { isOne: true };
    case "message":
      return messagePlan(field.message);
    case "map":
      return field.mapKind === "message" ? entryPlan(field.message) : { isOne: false };
    case "list":
      if (field.listKind === "message") return messagePlan(field.message);
      if (field.listKind === "enum") return { isOne: false, packed: 0 };
      return field.scalar === ScalarType.STRING || field.scalar === ScalarType.BYTES
        ? { isOne: false }
        : { isOne: false, packed: sizeOf(field.scalar) };
  }
}

function messagePlan(message: DescMessage): FieldPlan {
  return { isOne: false, inner: () => planOf(message) };
}

/** An entry of a map is a message of its key, 1, and its value, 2. */
function entryPlan(value: DescMessage): FieldPlan {
  const entry: Plan = new Map([
    [1, { isOne: true }],
    [2, messagePlan(value)],
  ]);
  return { isOne: false, inner: () => entry };
}

function sizeOf(scalar: ScalarType): number {
  switch (scalar) {
    case ScalarType.DOUBLE:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return 8;
    case ScalarType.FLOAT:
    case ScalarType.FIXED32:
    case ScalarType.SFIXED32:
      return 4;
    default:
      return 0;
  }
}

function countPacked({ bytes, at }: Reader, end: number, size: number): number {
  if (size > 0) return Math.floor((end - at) / size);
  let count = 0;
  for (let index = at; index < end; index++) if ((bytes[index] ?? 0) < 0x80) count++;
  return count;
}

/** The lower 32 bits, which is all that tags and lengths have. At the end of the bytes: as if they went on with zeros. */
function readVarint(reader: Reader): number {
  let value = 0;
  for (let shift = 0; shift < 70; shift += 7) {
    const byte = reader.bytes[reader.at++] ?? 0;
    if (shift < 32) value |= (byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  return value >>> 0;
}

/** False where there is no such wire type. What a group holds is counted as if it stood outside of it. */
function skipScalar(reader: Reader, wireType: number): boolean {
  switch (wireType) {
    case WireType.varint:
      readVarint(reader);
      return true;
    case WireType.fixed64:
      reader.at += 8;
      return true;
    case WireType.fixed32:
      reader.at += 4;
      return true;
    default:
      return wireType === WireType.startGroup || wireType === WireType.endGroup;
  }
}
