/** A promise that someone else settles. */
export interface Deferred<Value> {
  readonly promise: Promise<Value>;
  readonly resolve: (value: Value) => void;
  readonly reject: (error: Error) => void;
}

export function createDeferred<Value = void>(): Deferred<Value> {
  return Promise.withResolvers<Value>();
}
