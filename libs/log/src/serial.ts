/** Runs one piece of work after the other, in the order of their coming. One that fails does not stop the next. */
export interface Serial {
  run<Value>(work: () => Promise<Value>): Promise<Value>;
}

export function createSerial(): Serial {
  let last: Promise<unknown> = Promise.resolve();
  return {
    run(work) {
      const result = last.then(work);
      last = result.catch(() => undefined);
      return result;
    },
  };
}
