/** Stops the node rather than let it go on from a state that must not exist. */
export function assert(condition: boolean, shouldHold: string): asserts condition {
  if (!condition) throw new Error(`Broken invariant: ${shouldHold}`);
}
