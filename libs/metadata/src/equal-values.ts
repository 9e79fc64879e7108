/** Whether two values of plain data (objects, arrays, maps, primitives) are the same in every part. */
export function equalValues(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (a instanceof Map || b instanceof Map) {
    return (
      a instanceof Map && b instanceof Map && a.size === b.size && [...a].every(([k, v]) => equalValues(v, b.get(k)))
    );
  }
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [fieldsOfA, fieldsOfB] = [Object.entries(a), new Map(Object.entries(b))];
  return (
    fieldsOfA.length === fieldsOfB.size &&
    fieldsOfA.every(([k, v]) => fieldsOfB.has(k) && equalValues(v, fieldsOfB.get(k)))
  );
}
