import { create, type DescField, type DescMessage, isMessage, ScalarType, toBinary } from "@bufbuild/protobuf";
import { WireType } from "@bufbuild/protobuf/wire";
import { Edition, FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";
import type { BackwardWriter } from "./backward-writer.ts";

/** Writes one message, or the init of one, from its last field to its first: the bytes that protobuf-es makes. */
export type LeanPlan = (writer: BackwardWriter, message: LooseMessage) => void;

/** A message or its init: what is absent is at its default. */
export type LooseMessage = Readonly<Record<string, unknown>> & {
  readonly $unknown?: readonly { readonly no: number; readonly wireType: WireType; readonly data: Uint8Array }[];
};

type FieldWriter = (writer: BackwardWriter, value: unknown) => void;

/**
 * The plan of a message type. Message fields that have no lean form go through protobuf-es where they hold no bytes. Throws
 * for what no hot message has: maps, floats, fixed-width numbers, and Struct and the wrappers of google.protobuf.
 */
export function planOf(schema: DescMessage, plans = new Map<DescMessage, LeanPlan>()): LeanPlan {
  const known = plans.get(schema);
  if (known !== undefined) return known;
  const steps: LeanPlan[] = [];
  const plan: LeanPlan = (writer, message) => {
    const { $unknown: unknown } = message;
    if (unknown !== undefined) for (const field of unknown.toReversed()) writeUnknown(writer, field);
    for (const step of steps) step(writer, message);
  };
  // Before its fields, so that a type which contains itself finds its own plan.
  plans.set(schema, plan);
  for (const field of schema.fields.toSorted((a, b) => b.number - a.number)) steps.push(stepOf(field, plans));
  return plan;
}

function writeUnknown(
  writer: BackwardWriter,
  { no, wireType, data }: { readonly no: number; readonly wireType: WireType; readonly data: Uint8Array },
): void {
  writer.bytes(data);
  writer.varint(tagOf(no, wireType));
}

function stepOf(field: DescField, plans: Map<DescMessage, LeanPlan>): LeanPlan {
  if (field.fieldKind === "list" && field.packed) return packedStep(field);
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
      const items = (message[localName] ?? []) as readonly unknown[];
      for (let index = items.length - 1; index >= 0; index--) write(writer, items[index]);
    };
  }
  const isDefault = defaultOf(field);
  return (writer, message) => {
    const value = message[localName];
    if (value !== undefined && !isDefault(value)) write(writer, value);
  };
}

/** Numbers of a list stand one after the other behind one tag. */
function packedStep(field: DescField & { readonly fieldKind: "list" }): LeanPlan {
  const { localName, number } = field;
  const type = scalarOf(field);
  const [, write] = scalarWriters[type] ?? [];
  if (write === undefined) throw noLeanForm(field);
  const tag = tagOf(number, WireType.LengthDelimited);
  return (writer, message) => {
    const items = (message[localName] ?? []) as readonly unknown[];
    if (items.length === 0) return;
    const before = writer.length;
    for (let index = items.length - 1; index >= 0; index--) write(writer, items[index] as never);
    writer.varint(writer.length - before);
    writer.varint(tag);
  };
}

/** The type of a field, or of its items, that holds no messages. */
function scalarOf(field: DescField): ScalarType {
  return field.enum === undefined ? (field.scalar ?? ScalarType.STRING) : ScalarType.INT32;
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
  if (field.fieldKind === "map") throw noLeanForm(field);
  if (field.message !== undefined) return messageWriter(field, field.message, plans);
  return scalarWriter(field, scalarOf(field));
}

function messageWriter(field: DescField, inner: DescMessage, plans: Map<DescMessage, LeanPlan>): FieldWriter {
  const tag = tagOf(field.number, WireType.LengthDelimited);
  if (isSpecial(inner)) throw noLeanForm(field);
  if (!holdsBytes(inner) && !hasLeanForm(inner)) {
    return (writer, value) => {
      const bytes = encodeWhole(inner, value);
      writer.bytes(bytes);
      writer.varint(bytes.length);
      writer.varint(tag);
    };
  }
  const plan = planOf(inner, plans);
  return (writer, value) => {
    const before = writer.length;
    plan(writer, value as LooseMessage);
    writer.varint(writer.length - before);
    writer.varint(tag);
  };
}

function tagOf(fieldNumber: number, wireType: WireType): number {
  return fieldNumber * 8 + wireType;
}

function noLeanForm(field: DescField): Error {
  return new Error(`${field.toString()} has no lean form: use protobuf-es for ${field.parent.typeName}.`);
}

/** Types that protobuf-es keeps as plain values instead of messages. */
function isSpecial(schema: DescMessage): boolean {
  return /^google[.]protobuf[.](Struct|\w+Value)$/.test(schema.typeName);
}

/**
 * Whether all of a type and below can be planned. A type that contains itself is left to protobuf-es, and so are those of
 * other editions than proto3, whose fields show a default where they are not set.
 */
export function hasLeanForm(schema: DescMessage, around: readonly DescMessage[] = []): boolean {
  if (schema.file.edition !== Edition.EDITION_PROTO3 || isSpecial(schema) || around.includes(schema)) return false;
  return schema.fields.every((field) => {
    if (field.fieldKind === "map") return false;
    if (field.message !== undefined) return hasLeanForm(field.message, [...around, schema]);
    return scalarOf(field) in scalarWriters;
  });
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

/** Each writes its value, and no tag; what is not of the type throws as protobuf-es does. */
const scalarWriters: Partial<Record<ScalarType, readonly [WireType, (writer: BackwardWriter, value: never) => void]>> =
  {
    [ScalarType.STRING]: [
      WireType.LengthDelimited,
      (writer, value: string) => {
        const before = writer.length;
        writer.text(value);
        writer.varint(writer.length - before);
      },
    ],
    [ScalarType.BYTES]: [
      WireType.LengthDelimited,
      (writer, value: Uint8Array) => {
        writer.bytes(value);
        writer.varint(value.byteLength);
      },
    ],
    [ScalarType.BOOL]: [WireType.Varint, (writer, value: boolean) => writer.varint(value ? 1 : 0)],
    [ScalarType.INT32]: [
      WireType.Varint,
      (writer, value: number) => {
        if ((value | 0) !== value) throw invalid("int32", value);
        if (value < 0) writer.varint64(BigInt(value));
        else writer.varint(value);
      },
    ],
    [ScalarType.UINT32]: [
      WireType.Varint,
      (writer, value: number) => {
        if (value >>> 0 !== value) throw invalid("uint32", value);
        writer.varint(value);
      },
    ],
    [ScalarType.INT64]: [
      WireType.Varint,
      (writer, value: bigint) => {
        const small = Number(value);
        if (small >= 0 && Number.isSafeInteger(small)) writer.varint(small);
        else if (BigInt.asIntN(64, value) === value) writer.varint64(value);
        else throw invalid("int64", value);
      },
    ],
    [ScalarType.UINT64]: [
      WireType.Varint,
      (writer, value: bigint) => {
        const small = Number(value);
        if (small >= 0 && Number.isSafeInteger(small)) writer.varint(small);
        else if (BigInt.asUintN(64, value) === value) writer.varint64(value);
        else throw invalid("uint64", value);
      },
    ],
  };

function invalid(type: string, value: unknown): Error {
  return new Error(`invalid ${type}: ${String(value)}`);
}

function scalarWriter(field: DescField, type: ScalarType): FieldWriter {
  const found = scalarWriters[type];
  if (found === undefined) throw noLeanForm(field);
  const [wireType, write] = found;
  const tag = tagOf(field.number, wireType);
  return (writer, value) => {
    write(writer, value as never);
    writer.varint(tag);
  };
}
