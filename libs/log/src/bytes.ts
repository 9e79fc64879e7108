/** A view for big-endian access to `bytes`, wherever they lie in their buffer. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function concatenate(first: Uint8Array, second: Uint8Array): Uint8Array {
  if (first.length === 0) return second;
  const joined = new Uint8Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}

export function lesser<Value extends bigint>(a: Value, b: Value): Value {
  return a < b ? a : b;
}

export function greater<Value extends bigint>(a: Value, b: Value): Value {
  return a > b ? a : b;
}
