import { type Bench, figure } from "../bench.ts";
import { inFolder } from "../log/place.ts";
import { startQuorum } from "./quorum.ts";

const rounds = 20;

/** Three members, of which the leading one is killed again and again while it commits. */
export const raftFailover: Bench = {
  name: "raft-failover",
  about:
    "from kill -9 of the leading one of three controllers to the next batch that another one committed, " +
    "with the default timers.",
  run: (say) =>
    inFolder(async (folder) => {
      const quorum = await startQuorum(folder, {});
      try {
        const gaps: number[] = [];
        for (let round = 0; round < rounds; round++) {
          gaps.push(await quorum.killLeader());
          say(`${gaps.at(-1)?.toFixed(0) ?? ""} ms`);
          await quorum.restoreKilled();
        }
        return [figure("kill -9 to the next commit", "ms", gaps)];
      } finally {
        await quorum.stop();
      }
    }),
};
