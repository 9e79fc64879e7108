/**
 * Resolves with the first value of `look` that is neither undefined nor false. Rejects after `timeoutMs`, which is only
 * there to end a test that would wait for ever, with `what` and the last error that `look` ended in.
 */
export async function waitFor<Value>(
  what: string,
  look: () => Value | undefined | false | Promise<Value | undefined | false>,
  timeoutMs = 60_000,
): Promise<Value> {
  const until = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await look();
      if (value !== undefined && value !== false) return value;
    } catch (error) {
      last = error;
    }
    if (performance.now() > until) throw new Error(`Waited ${timeoutMs} ms in vain for: ${what}`, { cause: last });
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
