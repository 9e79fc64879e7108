/**
 * A limit on bytes held: a stream's within its connection's within its process's. Taking counts against each of them,
 * or against none.
 */
export interface ByteBudget {
  /** Bytes taken now. */
  readonly used: number;
  readonly limit: number;
  /** Name of the budget for the error's text: "stream", "connection", "process". */
  readonly name: string;
  /** Takes `bytes`. Returns the budget that would be exceeded, and then takes nothing; undefined when it fitted. */
  take(bytes: number): ByteBudget | undefined;
  /** Gives back what was taken. */
  give(bytes: number): void;
}

export function createByteBudget(options: {
  readonly name: string;
  /** Bytes. */
  readonly limit: number;
  readonly parent?: ByteBudget;
}): ByteBudget {
  const { name, limit, parent } = options;
  // A plain field and no getter, as in everything that is made for each call: V8 gives each object of a literal with a
  // getter a hidden class of its own, which costs much and holds what the getter sees until the next full collection.
  const budget: ByteBudget & { used: number } = {
    name,
    limit,
    used: 0,
    take(bytes) {
      if (budget.used + bytes > limit) return budget;
      const exceeded = parent?.take(bytes);
      if (exceeded !== undefined) return exceeded;
      budget.used += bytes;
      return undefined;
    },
    give(bytes) {
      budget.used -= bytes;
      parent?.give(bytes);
    },
  };
  return budget;
}
