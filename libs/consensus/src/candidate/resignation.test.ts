/** What becomes of a resignation that the store does not take. */
import { controllerId, directoryId } from "@tidemark/ids";
import { createManualTime, createSeededRandom } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import type { Leadership } from "../consensus.ts";
import type { ConsensusEvent } from "../events.ts";
import { createStore } from "../store/store.ts";
import type { StoreLink } from "../store/store-link.ts";
import { createMemoryHome } from "../twin/memory-journal.ts";
import { createCandidate } from "./candidate.ts";
import type { CandidateStanding, ElectedTerm } from "./claim-right.ts";

/** Two candidates of one store that can be full, of which the first leads. `overLeaders`: the store elects one of them. */
async function setting(overLeaders: boolean) {
  const time = createManualTime();
  const runtime = { ...time, random: createSeededRandom(1) };
  const events: string[] = [];
  const onEvent = ({ kind }: ConsensusEvent) => {
    events.push(kind);
  };
  const store = createStore({ ...createMemoryHome().open(), clock: runtime.clock, onEvent });
  const disk = { isFull: false };
  const link: StoreLink = {
    async connect(...asked) {
      const session = await store.connect(...asked);
      return {
        ...session,
        request: async (request) => (disk.isFull ? { kind: "noSpace", message: "full" } : session.request(request)),
      };
    },
  };
  const join = async (number: number, term: ElectedTerm | undefined) => {
    const standings: CandidateStanding[] = [];
    const beliefs: Leadership[] = [];
    const consensus = createCandidate({
      link,
      runtime,
      onEvent,
      right: { term: () => term, onChange: () => undefined, report: (standing) => standings.push(standing) },
    });
    const read = async () => {
      for await (const belief of consensus.leadership()) beliefs.push(belief);
    };
    read().catch(() => undefined);
    const joined = consensus.join({
      controllerId: controllerId(number),
      directoryId: directoryId(`00000000-0000-4000-8000-00000000000${number}`),
      endpoint: `controller-${number}.test:4650`,
    });
    await time.advance(10);
    await joined;
    return { consensus, beliefs, standing: () => standings.at(-1) };
  };
  const elected = { term: 1, overLeaders };
  const first = await join(1, elected);
  const second = await join(2, overLeaders ? undefined : elected);
  await time.advance(10);
  expect([first.beliefs.at(-1)?.kind, second.beliefs.at(-1)?.kind]).toEqual(["leading", "following"]);
  return {
    time,
    disk,
    first,
    events,
    async close() {
      await Promise.all([first.consensus.close(), second.consensus.close()]);
      await store.close();
    },
  };
}

describe("a candidate whose resignation the store does not take", () => {
  it("claims anew once the store takes that, since nobody else may", async () => {
    const { time, disk, first, events, close } = await setting(false);
    disk.isFull = true;
    expect(await first.consensus.resign()).toMatchObject({ kind: "refused", reason: "NO_SPACE" });
    expect(events).not.toContain("resigned");
    await time.advance(10_000);
    expect(first.beliefs.at(-1)?.kind).toBe("none");
    disk.isFull = false;
    await time.advance(1_000);
    expect(first.beliefs.at(-1)).toMatchObject({ kind: "leading", epoch: 2 });
    expect(await first.consensus.resign()).toBeUndefined();
    expect(events).toContain("resigned");
    await close();
  });

  it("stands back all the same where the store elects another, who claims over it", async () => {
    const { time, disk, first, events, close } = await setting(true);
    disk.isFull = true;
    expect(await first.consensus.resign()).toBeUndefined();
    expect(events).toContain("resigned");
    disk.isFull = false;
    await time.advance(10_000);
    expect([first.beliefs.at(-1)?.kind, first.standing()]).toEqual(["none", "standsBack"]);
    await close();
  });
});
