import { type PartitionDescription, Reason, TidemarkError } from "@tidemark/client";
import { describe, expect, test } from "vitest";
import { outOfSyncOf, outOfSyncText } from "./out-of-sync.ts";

interface Progress {
  readonly broker: number;
  readonly flushed?: bigint;
  readonly lagMs: bigint;
}

/** A cluster whose leaders say `replicas` of every partition, and which partitions were asked about. */
function leadersThat(say: () => { readonly logEnd: bigint; readonly replicas: readonly Progress[] }) {
  const asked: number[] = [];
  const log = {
    explainOffset: async ({ partition }: { partition: number }) => {
      asked.push(partition);
      await Promise.resolve();
      return say();
    },
  };
  const call = { signal: new AbortController().signal, timeoutMs: 1000 };
  return { asked, session: { client: { log: log as never }, call } };
}

const partition = (index: number, isr: readonly number[], leader: number | undefined = isr[0]) =>
  ({ partition: index, replicas: [1, 2, 3], isr, leader }) as unknown as PartitionDescription;

describe("out-of-sync replicas", () => {
  test("are told with how far they are behind, and nobody is asked where there are none", async () => {
    const { asked, session } = leadersThat(() => ({
      logEnd: 100n,
      replicas: [
        { broker: 1, flushed: 100n, lagMs: 0n },
        { broker: 3, flushed: 55n, lagMs: 1200n },
      ],
    }));
    const found = await outOfSyncOf(session, "t", [partition(0, [1, 2, 3]), partition(1, [1])]);
    expect(asked).toEqual([1]);
    expect(found).toEqual(
      new Map([
        [
          1,
          [
            { broker: 2, lagMs: undefined, records: undefined },
            { broker: 3, lagMs: 1200, records: 45n },
          ],
        ],
      ]),
    );
    expect(outOfSyncText(found.get(1) ?? [])).toBe("2 (lag unknown), 3 (1200 ms, 45 records)");
  });

  test("are told without lags where there is no leader, or it does not answer", async () => {
    const { asked, session } = leadersThat(() => {
      throw new TidemarkError({ reason: Reason.UNAVAILABLE, message: "gone" });
    });
    const found = await outOfSyncOf(session, "t", [partition(0, [], undefined), partition(1, [1, 2])]);
    expect(asked).toEqual([1]);
    expect([...found.values()].map(outOfSyncText)).toEqual([
      "1 (lag unknown), 2 (lag unknown), 3 (lag unknown)",
      "3 (lag unknown)",
    ]);
  });

  test("that have more than the leader, from before an election, are not behind by less than nothing", async () => {
    const { session } = leadersThat(() => ({ logEnd: 10n, replicas: [{ broker: 2, flushed: 11n, lagMs: 5n }] }));
    const found = await outOfSyncOf(session, "t", [partition(0, [1, 3])]);
    expect(outOfSyncText(found.get(0) ?? [])).toBe("2 (5 ms, 0 records)");
  });
});
