import { createSeededRandom, type Random } from "@tidemark/runtime";
import { hashText } from "./trace-hash.ts";

/**
 * Random numbers of one seed, a stream for each concern: that one part draws more often changes no other part's draws,
 * so a run stays alike while the code that it runs changes.
 */
export interface RandomTree {
  /** The stream of this name, from its beginning. */
  stream(name: string): Random;
  /** A tree of its own under this name. */
  branch(name: string): RandomTree;
}

export function createRandomTree(seed: number): RandomTree {
  const path = (prefix: string): RandomTree => ({
    stream: (name) => createSeededRandom(hashText(`${prefix}/${name}`)),
    branch: (name) => path(`${prefix}/${name}`),
  });
  return path(String(seed));
}
