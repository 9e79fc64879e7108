import { distance } from "fastest-levenshtein";

/** Up to so many wrong letters are a slip of the fingers. */
const slipLetters = 2;

/**
 * The known key that was most likely meant: one that a slip of the fingers explains; else one that has every word of
 * the given key (a prefix left out, words in another order); else the one with the fewest letters to change.
 */
export function nearestKey(given: string, known: readonly string[]): string | undefined {
  const plain = normalise(given);
  const nearest = closest(plain, known);
  if (nearest === undefined || nearest.changes <= slipLetters) return nearest?.key;
  const words = plain.split(".");
  const containing = known.filter((key) => {
    const parts = new Set(key.split("."));
    return words.every((word) => parts.has(word));
  });
  return (closest(plain, containing) ?? nearest).key;
}

interface Candidate {
  readonly key: string;
  readonly changes: number;
}

function closest(given: string, known: readonly string[]): Candidate | undefined {
  let best: Candidate | undefined;
  for (const key of known) {
    const changes = distance(given, key);
    if (best === undefined || changes < best.changes) best = { key, changes };
  }
  return best;
}

/** `sessionTimeoutMs`, `session_timeout_ms` and `session-timeout-ms` are all meant as `session.timeout.ms`. */
function normalise(key: string): string {
  return key
    .replace(/([a-z0-9])([A-Z])/g, "$1.$2")
    .toLowerCase()
    .replace(/[_-]+/g, ".");
}
