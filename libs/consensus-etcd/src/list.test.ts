import { describe, expect, it } from "vitest";
import type { Calls } from "./calls.ts";
import { listAll } from "./list.ts";
import { createMvcc } from "./simulated/mvcc.ts";
import { EtcdError, type EtcdStubs, noLease, type RangeRequest } from "./stubs.ts";

const all = { key: "/p/", rangeEnd: "/p0" };

/** A store of so many keys whose answers hold no more than `entriesMax`. */
function setting(keys: number, entriesMax = Number.POSITIVE_INFINITY) {
  const mvcc = createMvcc();
  const put = (key: string) =>
    mvcc.txn({ compares: [], success: [{ kind: "put", key, value: new Uint8Array(), lease: noLease }] }, () => true);
  for (let n = 0; n < keys; n++) put(`/p/${String(n).padStart(5, "0")}`);
  const asked: RangeRequest[] = [];
  let onPage: (page: number) => void = () => {};
  const stubs = {
    range: async (request: RangeRequest) => {
      asked.push(request);
      const answer = mvcc.range(request);
      if (answer.entries.length > entriesMax) throw new EtcdError("MESSAGE_TOO_LARGE", "too large");
      onPage(asked.length);
      return answer;
    },
  } as unknown as EtcdStubs;
  const calls: Calls = { once: (call) => call(stubs), patiently: (call) => call(stubs) };
  return {
    mvcc,
    put,
    asked,
    list: () => listAll(calls, all, new AbortController().signal),
    onPage(then: typeof onPage) {
      onPage = then;
    },
  };
}

describe("a list", () => {
  it("comes in pages that are one state, whatever is written meanwhile", async () => {
    const s = setting(1_200);
    const { revision } = s.mvcc.range(all);
    s.onPage((page) => s.put(`/p/late-${page}`));
    const listing = await s.list();
    expect([listing.entries.length, listing.pages, listing.revision]).toEqual([1_200, 3, revision]);
    expect(new Set(listing.entries.map(({ key }) => key)).size).toBe(1_200);
    expect(s.asked.map((request) => request.revision)).toEqual([undefined, revision, revision]);
  });

  it("begins anew where its revision was compacted between two pages", async () => {
    const s = setting(1_200);
    s.onPage((page) => {
      if (page !== 1) return;
      s.put("/p/late");
      s.mvcc.compact(s.mvcc.revision());
    });
    const listing = await s.list();
    expect(listing.entries).toHaveLength(1_201);
    expect(s.asked).toHaveLength(5);
  });

  it("34f takes smaller pages where one is larger than a message may be", async () => {
    const s = setting(1_200, 100);
    expect((await s.list()).entries).toHaveLength(1_200);
    expect(s.asked.length).toBeLessThan(40);
  });

  it("34f says so where one key alone is too large", async () => {
    await expect(setting(3, 0).list()).rejects.toMatchObject({ code: "MESSAGE_TOO_LARGE" });
  });
});
