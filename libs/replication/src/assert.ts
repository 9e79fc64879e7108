/** An assertion that stays on in production. `shouldHold` says in words what was expected. */
export function assert(condition: boolean, shouldHold: string): asserts condition {
  if (!condition) throw new Error(`Broken invariant: ${shouldHold}`);
}
