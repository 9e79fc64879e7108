import { describe, expect, it } from "vitest";
import { allEtcdGuards, type EtcdGuards } from "./guards.ts";
import { createKeptKeys } from "./kept-keys.ts";
import { createKeyspace } from "./keyspace.ts";
import { createMvcc } from "./simulated/mvcc.ts";
import { transactionOf } from "./transaction.ts";

const keyspace = createKeyspace("/p");
const value = Uint8Array.from([1, 2, 3]);
const key = "/controllers/2";

/** A put of the candidate's key under the first lease is stuck; it registers under the second; then the first arrives. */
function stuckRegistration(guards: EtcdGuards): string | undefined {
  const mvcc = createMvcc();
  const kept = createKeptKeys(keyspace);
  const commit = (request: Parameters<typeof mvcc.txn>[0]) => mvcc.txn(request, () => true).succeeded;
  const follow = () => kept.reset(mvcc.range(keyspace.all).entries);
  const register = (lease: string, found: Uint8Array | undefined) =>
    transactionOf(
      { guards: [{ key, value: found }], batches: [[{ kind: "put", key, value, ephemeral: true }]] },
      { keyspace, kept, lease, guards },
    );
  commit(register("ghost", undefined));
  follow();
  const stuck = register("first", value);
  expect(commit(register("second", value))).toBe(true);
  commit(stuck);
  return mvcc.range(keyspace.all).entries[0]?.lease;
}

describe("a transaction", () => {
  it("34b that was stuck does not bind a key to an old lease again, though the value is the same", () => {
    expect(stuckRegistration(allEtcdGuards)).toBe("second");
    expect(stuckRegistration({ ...allEtcdGuards, guardLeasePuts: false })).toBe("first");
  });

  it("compares whole values, and the absence of keys", () => {
    const request = {
      guards: [
        { key: "/append", value },
        { key: "/controller", value: undefined },
      ],
      batches: [[{ kind: "delete", key: "/a" } as const, { kind: "put", key: "/b", value } as const]],
    };
    const context = { keyspace, kept: createKeptKeys(keyspace), lease: "7", guards: allEtcdGuards };
    expect(transactionOf(request, context)).toEqual({
      compares: [
        { target: "value", key: "/p/append", value },
        { target: "createRevision", key: "/p/controller", revision: 0n },
      ],
      success: [
        { kind: "delete", key: "/p/a" },
        { kind: "put", key: "/p/b", value, lease: "0" },
      ],
    });
  });
});
