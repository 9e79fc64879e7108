import { create, type DescField, type DescMessage, isMessage, ScalarType, toBinary } from "@bufbuild/protobuf";
import { type BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";
import type { GatherWriter } from "./gather-writer.ts";

/** Writes one message, or the init of one, field by field in the order of their numbers, as protobuf-es does. */
export type LeanPlan = (writer: GatherWriter, message: LooseMessage) => void;

/** A message or its init: what is absent is at its default. */
export type LooseMessage = Readonly<Record<string, unknown>> & {
  readonly $unknown?: readonly { readonly no: number; readonly wireType: WireType; readonly data: Uint8Array }[];
};

type FieldWriter = (writer: GatherWriter, value: unknown) => void;

/**
 * The plan of a message type. Message fields whose types hold no bytes go through protobuf-es. Throws for what no hot
 * message has: maps, repeated scalars, floats, fixed-width numbers, and Struct and the wrappers of google.protobuf.
 */
export function planOf(schema: DescMessage, plans = new Map<DescMessage, LeanPlan>()): LeanPlan {
  const known = plans.get(schema);
  if (known !== undefined) return known;
  const steps: LeanPlan[] = [];
  const plan: LeanPlan = (writer, message) => {
    for (const step of steps) step(writer, message);
    for (const { no, wireType, data } of message.$unknown ?? []) writer.small.tag(no, wireType).raw(data);
  };
  // Before its fields, so that a type which contains itself finds its own plan.
  plans.set(schema, plan);
  for (const field of schema.fields.toSorted((a, b) => a.number - b.number)) steps.push(stepOf(field, plans));
  return plan;
}

function stepOf(field: DescField, plans: Map<DescMessage, LeanPlan>): LeanPlan {
  const write = fieldWriterOf(field, plans);
  const { localName, oneof } = field;
  if (oneof !== undefined) {
    return (writer, message) => {
      const chosen = message[oneof.localName] as { case?: string; value?: unknown } | undefined;
      if (chosen?.case === localName) write(writer, chosen.value);
    };
  }
  if (field.fieldKind === "list") {
    return (writer, message) => {
      for (const item of (message[localName] ?? []) as readonly unknown[]) write(writer, item);
    };
  }
  const isDefault = defaultOf(field);
  return (writer, message) => {
    const value = message[localName];
    if (value !== undefined && !isDefault(value)) write(writer, value);
  };
}

/** Whether a value is not written: with implicit presence, the zero of its type. */
function defaultOf(field: DescField): (value: unknown) => boolean {
  if (field.presence !== FeatureSet_FieldPresence.IMPLICIT) return () => false;
  if (field.fieldKind === "scalar" && field.scalar === ScalarType.BYTES) {
    return (value) => (value as Uint8Array).byteLength === 0;
  }
  return (value) => value === 0 || value === 0n || value === "" || value === false;
}

function fieldWriterOf(field: DescField, plans: Map<DescMessage, LeanPlan>): FieldWriter {
  const { number } = field;
  const inner = field.fieldKind === "message" || field.fieldKind === "list" ? field.message : undefined;
  if (inner !== undefined) {
    // protobuf-es keeps these as plain values instead of messages.
    if (/^google[.]protobuf[.](Struct|\w+Value)$/.test(inner.typeName)) throw noLeanForm(field);
    if (!holdsBytes(inner)) return (writer, value) => writer.bytes(number, encodeWhole(inner, value));
    const plan = planOf(inner, plans);
    return (writer, value) => writer.message(number, (into) => plan(into, value as LooseMessage));
  }
  if (field.fieldKind === "enum") return scalarWriter(number, ScalarType.INT32);
  if (field.fieldKind === "scalar") {
    if (field.scalar === ScalarType.BYTES) return (writer, value) => writer.bytes(number, value as Uint8Array);
    return scalarWriter(number, field.scalar);
  }
  throw noLeanForm(field);
}

function noLeanForm(field: DescField): Error {
  return new Error(`${field.toString()} has no lean form: use protobuf-es for ${field.parent.typeName}.`);
}

/** A message type with a bytes field of its own, or below. */
function holdsBytes(schema: DescMessage, seen = new Set<DescMessage>()): boolean {
  if (seen.has(schema)) return false;
  seen.add(schema);
  return schema.fields.some((field) => {
    if (field.fieldKind === "scalar") return field.scalar === ScalarType.BYTES;
    return field.message !== undefined && holdsBytes(field.message, seen);
  });
}

function encodeWhole(schema: DescMessage, value: unknown): Uint8Array {
  return toBinary(schema, isMessage(value, schema) ? value : create(schema, value as Record<string, unknown>));
}

const scalarWriters: Partial<Record<ScalarType, readonly [WireType, (writer: BinaryWriter, value: never) => unknown]>> =
  {
    [ScalarType.STRING]: [WireType.LengthDelimited, (writer, value: string) => writer.string(value)],
    [ScalarType.BOOL]: [WireType.Varint, (writer, value: boolean) => writer.bool(value)],
    [ScalarType.INT32]: [WireType.Varint, (writer, value: number) => writer.int32(value)],
    [ScalarType.UINT32]: [WireType.Varint, (writer, value: number) => writer.uint32(value)],
    [ScalarType.INT64]: [WireType.Varint, (writer, value: bigint) => writer.int64(value)],
    [ScalarType.UINT64]: [WireType.Varint, (writer, value: bigint) => writer.uint64(value)],
  };

function scalarWriter(fieldNumber: number, type: ScalarType): FieldWriter {
  const found = scalarWriters[type];
  if (found === undefined) throw new Error(`Scalars of type ${ScalarType[type]} have no lean form.`);
  const [wireType, write] = found;
  return ({ small }, value) => {
    small.tag(fieldNumber, wireType);
    write(small, value as never);
  };
}
