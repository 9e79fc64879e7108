const everyMs = 20;

/** Watches how long this process stands still at most: a machine that is busy elsewhere makes everybody look slow. */
export function watchOwnStalls(): { readonly longestMs: () => number; readonly stop: () => void } {
  let longestMs = 0;
  let lastMs = performance.now();
  const timer = setInterval(() => {
    const nowMs = performance.now();
    longestMs = Math.max(longestMs, nowMs - lastMs - everyMs);
    lastMs = nowMs;
  }, everyMs);
  return { longestMs: () => longestMs, stop: () => clearInterval(timer) };
}
