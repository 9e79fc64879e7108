import type { DescEnum, DescField, DescMessage, MessageShape } from "@bufbuild/protobuf";

/** Whoever takes a codec refuses one that is not known by a reason of its own, REASON_UNSUPPORTED_CODEC. */
const answeredByOthers: ReadonlySet<string> = new Set(["tidemark.common.v1.Codec"]);

type AnyMessage = MessageShape<DescMessage>;
type Look = (message: AnyMessage) => string | undefined;

/**
 * Looks for values of enums that this process does not know, which a caller with a newer proto may send, or one that made
 * a mistake. Taking the default instead would do something else than was asked for. The look says what is wrong, or
 * undefined; it is undefined itself for messages that have no enums.
 */
export function lookForUnknownEnums(schema: DescMessage): Look | undefined {
  return lookInto(schema, new Map());
}

function lookInto(schema: DescMessage, known: Map<DescMessage, Look | undefined>): Look | undefined {
  if (known.has(schema)) return known.get(schema);
  // A message that holds itself ends here: what it holds of its own kind is not looked into.
  known.set(schema, undefined);
  const looks = schema.fields.flatMap((field) => lookAt(field, known) ?? []);
  const look: Look | undefined =
    looks.length === 0
      ? undefined
      : (message) => {
          for (const each of looks) {
            const problem = each(message);
            if (problem !== undefined) return problem;
          }
          return undefined;
        };
  known.set(schema, look);
  return look;
}

function lookAt(field: DescField, known: Map<DescMessage, Look | undefined>): Look | undefined {
  // Values that people give as JSON are their own matter.
  if (field.message?.typeName.startsWith("google.protobuf.") === true) return undefined;
  const inner = field.message === undefined ? undefined : lookInto(field.message, known);
  const values = field.enum === undefined || answeredByOthers.has(field.enum.typeName) ? undefined : field.enum;
  if (inner === undefined && values === undefined) return undefined;
  const problemOf = (value: unknown): string | undefined =>
    values === undefined ? inner?.(value as AnyMessage) : problemWith(field, values, value as number);
  return (message) => {
    const value = valueOf(field, message);
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) return problemOf(value);
    for (const each of value) {
      const problem = problemOf(each);
      if (problem !== undefined) return problem;
    }
    return undefined;
  };
}

/** Undefined where it is not set. */
function valueOf({ oneof, localName }: DescField, message: AnyMessage): unknown {
  const fields = message as unknown as Readonly<Record<string, unknown>>;
  if (oneof === undefined) return fields[localName];
  const { case: set, value } = fields[oneof.localName] as { readonly case?: string; readonly value?: unknown };
  return set === localName ? value : undefined;
}

function problemWith({ name }: DescField, { typeName, values, value: byNumber }: DescEnum, given: number) {
  if (byNumber[given] !== undefined) return undefined;
  const meant = values.filter(({ number }) => number !== 0).map((each) => `${each.name} = ${each.number}`);
  return `${name} = ${given} is no value of ${typeName} that this process knows: ${meant.join(", ")}.`;
}
