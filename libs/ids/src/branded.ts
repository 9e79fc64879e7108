declare const brand: unique symbol;

/** A value of a plain type that must not be mixed with others of it. Exists for the compiler only. */
export type Branded<Value, Name extends string> = Value & { readonly [brand]: Name };

/** The constructor of a branded type: checks with `holds` and names the type in its error. */
export function branded<Value, Name extends string>(
  name: Name,
  holds: (value: Value) => boolean,
): (value: Value) => Branded<Value, Name> {
  return (value) => {
    if (!holds(value)) throw new RangeError(`Not a ${name}: ${String(value)}`);
    return value as Branded<Value, Name>;
  };
}
