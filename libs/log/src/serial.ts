/** Runs one piece of work after the other, in the order of their coming. One that fails does not stop the next. */
export interface Serial {
  run<Value>(work: () => Promise<Value>): Promise<Value>;
}

export function createSerial(): Serial {
  return new PromiseChain();
}

/** A class, since a broker holds thousands, most of them idle: those hold nothing. */
class PromiseChain implements Serial {
  #last: Promise<unknown> | undefined;

  run<Value>(work: () => Promise<Value>): Promise<Value> {
    const result = this.#last === undefined ? work() : this.#last.then(work);
    const ended = result.then(ignore, ignore).then(() => {
      if (this.#last === ended) this.#last = undefined;
    });
    this.#last = ended;
    return result;
  }
}

function ignore(): void {
  return undefined;
}
