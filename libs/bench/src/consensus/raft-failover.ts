import { type Bench, distribution } from "../bench.ts";
import { inFolder } from "../log/place.ts";
import { startQuorum, type Way } from "./quorum.ts";

const rounds = 12;
/** Batches that the leader commits at once while it leads. */
const appendsAtOnce = 8;
const ways: readonly Way[] = ["killed", "frozen", "cut off"];

/** Three members, of which the leading one is taken away again and again while it commits at full speed. */
export const raftFailover: Bench = {
  name: "raft-failover",
  about:
    "from kill -9, SIGSTOP or the cutting off of the leading one of three controllers, which commits batches at full " +
    "speed, to the next batch that another one committed, with the default timers.",
  run: (say) =>
    inFolder(async (folder) => {
      const quorum = await startQuorum(folder, { appendsAtOnce });
      const gaps = new Map(ways.map((way) => [way, [] as number[]]));
      try {
        for (let round = 1; round <= rounds; round++) {
          for (const way of ways) {
            const gapMs = await quorum.takeLeader(way);
            gaps.get(way)?.push(gapMs);
            say(`round ${round} of ${rounds}: ${way}, ${gapMs.toFixed(0)} ms`);
            await quorum.bringBack();
          }
        }
      } finally {
        await quorum.stop();
      }
      return ways.flatMap((way) => distribution(`${way}, to the next commit`, "ms", gaps.get(way) ?? []));
    }),
};
