import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

/** A span as it came over the wire, with ids in hexadecimal. */
export interface ReceivedSpan {
  readonly name: string;
  readonly kind: "unspecified" | "internal" | "server" | "client" | "producer" | "consumer";
  readonly traceId: string;
  readonly spanId: string;
  /** Undefined at the root of a trace. */
  readonly parentSpanId: string | undefined;
  /** Nanoseconds since 1970. */
  readonly startNanos: bigint;
  readonly endNanos: bigint;
  readonly attributes: Attributes;
  readonly links: readonly { readonly traceId: string; readonly spanId: string; readonly attributes: Attributes }[];
  readonly events: readonly { readonly name: string; readonly nanos: bigint; readonly attributes: Attributes }[];
  /** Text of an error status, "" where it has none; undefined where the status is not an error. */
  readonly error: string | undefined;
  /** Attributes of the process that made it. */
  readonly resource: Attributes;
}

export type AttributeValue = string | number | bigint | boolean | Uint8Array | readonly AttributeValue[] | Attributes;
export interface Attributes {
  readonly [name: string]: AttributeValue;
}

const kinds = ["unspecified", "internal", "server", "client", "producer", "consumer"] as const;
const statusError = 2;

/** Spans of an `ExportTraceServiceRequest`. Throws on bytes that are none. */
export function decodeTraces(bytes: Uint8Array): readonly ReceivedSpan[] {
  return messages(bytes, 1).flatMap((resourceSpans) => {
    const resource = resourceOf(resourceSpans);
    return messages(resourceSpans, 2).flatMap((scopeSpans) =>
      messages(scopeSpans, 2).map((span) => decodeSpan(span, resource)),
    );
  });
}

/** How many spans an `ExportTraceServiceRequest` has, without a look into them. Throws on bytes that are none. */
export function countSpans(bytes: Uint8Array): number {
  return messages(bytes, 1)
    .flatMap((resourceSpans) => messages(resourceSpans, 2))
    .reduce((sum, scopeSpans) => sum + messages(scopeSpans, 2).length, 0);
}

/** Names of the metrics of an `ExportMetricsServiceRequest`, with the resource of each. */
export function decodeMetrics(bytes: Uint8Array): readonly { readonly name: string; readonly resource: Attributes }[] {
  return messages(bytes, 1).flatMap((resourceMetrics) => {
    const resource = resourceOf(resourceMetrics);
    return messages(resourceMetrics, 2).flatMap((scopeMetrics) =>
      messages(scopeMetrics, 2).map((metric) => ({ name: text(fieldsOf(metric), 1), resource })),
    );
  });
}

function decodeSpan(bytes: Uint8Array, resource: Attributes): ReceivedSpan {
  const fields = fieldsOf(bytes);
  const status = messages(bytes, 15).map(fieldsOf)[0];
  const failed = status !== undefined && Number(status.get(3)?.[0] ?? 0) === statusError;
  const parent = hex(fields, 4);
  return {
    traceId: hex(fields, 1),
    spanId: hex(fields, 2),
    parentSpanId: parent === "" ? undefined : parent,
    name: text(fields, 5),
    kind: kinds[Number(fields.get(6)?.[0] ?? 0)] ?? "unspecified",
    startNanos: bigint(fields, 7),
    endNanos: bigint(fields, 8),
    attributes: attributesOf(bytes, 9),
    events: messages(bytes, 11).map((event) => ({
      nanos: bigint(fieldsOf(event), 1),
      name: text(fieldsOf(event), 2),
      attributes: attributesOf(event, 3),
    })),
    links: messages(bytes, 13).map((link) => ({
      traceId: hex(fieldsOf(link), 1),
      spanId: hex(fieldsOf(link), 2),
      attributes: attributesOf(link, 4),
    })),
    error: failed ? text(status, 2) : undefined,
    resource,
  };
}

function resourceOf(bytes: Uint8Array): Attributes {
  const resource = messages(bytes, 1)[0];
  return resource === undefined ? {} : attributesOf(resource, 1);
}

function attributesOf(bytes: Uint8Array, field: number): Attributes {
  const pairs = messages(bytes, field).map((pair) => {
    const value = messages(pair, 2)[0];
    return [text(fieldsOf(pair), 1), value === undefined ? "" : decodeValue(value)] as const;
  });
  return Object.fromEntries(pairs);
}

/** An `AnyValue`. Its integers become numbers where that is exact. */
function decodeValue(bytes: Uint8Array): AttributeValue {
  const fields = fieldsOf(bytes);
  const [field, values] = [...fields][0] ?? [1, [new Uint8Array()]];
  const value = values[0];
  switch (field) {
    case 1:
      return text(fields, 1);
    case 2:
      return value !== 0n;
    case 3: {
      const integer = BigInt.asIntN(64, bigint(fields, 3));
      return Number.isSafeInteger(Number(integer)) ? Number(integer) : integer;
    }
    case 4:
      return double(bigint(fields, 4));
    case 5:
      return messages(bytes, 5).flatMap((array) => messages(array, 1).map(decodeValue));
    case 6:
      return messages(bytes, 6).map((list) => attributesOf(list, 1))[0] ?? {};
    default:
      return value instanceof Uint8Array ? value : new Uint8Array();
  }
}

/** What stands in a message, by field number: bytes of a length-delimited field, the number of any other. */
type Fields = ReadonlyMap<number, readonly (Uint8Array | bigint)[]>;

function fieldsOf(bytes: Uint8Array): Fields {
  const fields = new Map<number, (Uint8Array | bigint)[]>();
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    const values = fields.get(field) ?? [];
    fields.set(field, values);
    values.push(readField(reader, wire));
  }
  return fields;
}

function readField(reader: BinaryReader, wire: WireType): Uint8Array | bigint {
  switch (wire) {
    case WireType.Varint:
      return BigInt(reader.uint64());
    case WireType.Bit64:
      return BigInt(reader.fixed64());
    case WireType.Bit32:
      return BigInt(reader.fixed32());
    case WireType.LengthDelimited:
      return reader.bytes();
    default:
      throw new Error(`OTLP has no fields of wire type ${wire}`);
  }
}

function messages(bytes: Uint8Array, field: number): readonly Uint8Array[] {
  return (fieldsOf(bytes).get(field) ?? []).filter((value) => value instanceof Uint8Array);
}

function bytesOf(fields: Fields, field: number): Uint8Array {
  const value = fields.get(field)?.[0];
  return value instanceof Uint8Array ? value : new Uint8Array();
}

function text(fields: Fields, field: number): string {
  return new TextDecoder().decode(bytesOf(fields, field));
}

function hex(fields: Fields, field: number): string {
  return Buffer.from(bytesOf(fields, field)).toString("hex");
}

function bigint(fields: Fields, field: number): bigint {
  const value = fields.get(field)?.[0];
  return typeof value === "bigint" ? value : 0n;
}

function double(bits: bigint): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, bits);
  return view.getFloat64(0);
}
