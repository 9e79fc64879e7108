/** A promise that someone else settles. */
export interface Deferred<Value> {
  readonly promise: Promise<Value>;
  readonly resolve: (value: Value) => void;
  readonly reject: (error: Error) => void;
}

/** (`Promise.withResolvers`, which Node 20 does not have: the SDK runs there too.) */
export function createDeferred<Value = void>(): Deferred<Value> {
  let resolve: Deferred<Value>["resolve"] = ignore;
  let reject: Deferred<Value>["reject"] = ignore;
  const promise = new Promise<Value>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

/** A promise takes its functions before its constructor returns. */
function ignore(): void {}
