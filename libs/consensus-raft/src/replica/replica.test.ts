import { crc32c } from "@tidemark/compression";
import type { StoreChange } from "@tidemark/consensus";
import { directoryId } from "@tidemark/ids";
import { describe, expect, it, test } from "vitest";
import { type Command, decodeCommand, encodeCommand } from "./commands.ts";
import { createReplica, type Replica } from "./replica.ts";
import { decodeContent, encodeContent } from "./snapshot-codec.ts";

const node = (n: number) => directoryId(`00000000-0000-4000-8000-00000000000${n}`);
const bytes = (text: string) => new TextEncoder().encode(text);
const put = (key: string, value: string, ephemeral?: boolean): StoreChange => ({
  kind: "put",
  key,
  value: bytes(value),
  ...(ephemeral === undefined ? {} : { ephemeral }),
});
const request = (session: string, ...batches: readonly (readonly StoreChange[])[]): Command => ({
  kind: "request",
  session,
  request: { guards: [], batches },
});

function textAt(replica: Replica, key: string): string | undefined {
  const value = replica.get(key)?.value;
  return value === undefined ? undefined : new TextDecoder().decode(value);
}

describe("the replicated store", () => {
  it("carries a request out as a whole, a revision for each batch, if every guard holds", () => {
    const replica = createReplica();
    const { answer } = replica.apply(request("a", [put("/x", "1")], [put("/y", "1"), { kind: "delete", key: "/x" }]));
    expect(answer).toEqual({ kind: "committed", revisions: [1n, 2n] });
    const guarded = (value: Uint8Array | undefined): Command => ({
      kind: "request",
      session: "a",
      request: { guards: [{ key: "/y", value }], batches: [[put("/z", "1")]] },
    });
    expect(replica.apply(guarded(bytes("2"))).answer).toEqual({ kind: "conflict" });
    expect(replica.apply(guarded(undefined)).answer).toEqual({ kind: "conflict" });
    expect(replica.revision()).toBe(2n);
    expect(replica.apply(guarded(bytes("1"))).answer).toEqual({ kind: "committed", revisions: [3n] });
    expect([...replica.entries().keys()]).toEqual(["/y", "/z"]);
  });

  it("shows only changes that take effect, and the revision all the same", () => {
    const replica = createReplica();
    const { batches } = replica.apply(request("a", [{ kind: "delete", key: "/never" }]));
    expect(batches).toEqual([{ revision: 1n, changes: [] }]);
  });

  it("binds keys to a living session, and deletes them with its end as one ordinary batch", () => {
    const replica = createReplica();
    replica.apply({ kind: "openSession", session: "a", node: node(1) });
    replica.apply(request("a", [put("/controllers/1", "1", true), put("/controller", "1", true), put("/x", "1")]));
    expect(replica.entries().get("/controller")?.held).toBe(true);
    replica.apply(request("b", [put("/controller", "unbound")]));
    const { batches, ended } = replica.apply({ kind: "endSession", session: "a" });
    expect(ended).toEqual([{ session: "a", keys: ["/controllers/1"] }]);
    expect(batches).toEqual([{ revision: 3n, changes: [{ kind: "delete", key: "/controllers/1" }] }]);
    expect(textAt(replica, "/controller")).toBe("unbound");
  });

  it("34b refuses an ephemeral put of a session that has ended, however late, and all that came with it", () => {
    const replica = createReplica();
    replica.apply({ kind: "openSession", session: "a", node: node(1) });
    replica.apply({ kind: "endSession", session: "a" });
    const { answer } = replica.apply(request("a", [put("/x", "1")], [put("/controller", "1", true)]));
    expect(answer).toEqual({ kind: "sessionEnded" });
    expect(replica.get("/x")).toBeUndefined();
  });

  it("ends a node's earlier sessions with its next one, and no other's", () => {
    const replica = createReplica();
    for (const [session, of] of [
      ["a", 1],
      ["b", 2],
    ] as const) {
      replica.apply({ kind: "openSession", session, node: node(of) });
      replica.apply(request(session, [put(`/controllers/${of}`, "1", true)]));
    }
    const { ended } = replica.apply({ kind: "openSession", session: "c", node: node(1) });
    expect(ended).toEqual([{ session: "a", keys: ["/controllers/1"] }]);
    expect([...replica.sessions().keys()]).toEqual(["b", "c"]);
    expect(replica.apply({ kind: "openSession", session: "c", node: node(1) }).ended).toEqual([]);
  });

  it("comes back from a snapshot as it was, and the snapshot of an equal store is equal", () => {
    const replica = createReplica();
    replica.apply({ kind: "openSession", session: "a", node: node(1) });
    replica.apply(request("a", [put("/controller", "1", true), put("/x", "")]));
    const snapshot = encodeContent(replica.content(), crc32c);
    const restored = createReplica();
    restored.restore(decodeContent(snapshot, crc32c));
    expect(encodeContent(restored.content(), crc32c)).toEqual(snapshot);
    expect(restored.keysOf("a")).toEqual(["/controller"]);
    expect(restored.revision()).toBe(1n);
  });

  it("takes no snapshot that was damaged or cut short, wherever", () => {
    const replica = createReplica();
    replica.apply({ kind: "openSession", session: "a", node: node(1) });
    replica.apply(request("a", [put("/controller", "1", true)]));
    const snapshot = encodeContent(replica.content(), crc32c);
    for (let at = 0; at < snapshot.length; at++) {
      const damaged = snapshot.slice();
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      expect(() => decodeContent(damaged, crc32c)).toThrow(/does not read back/);
      if (at > 0) expect(() => decodeContent(snapshot.subarray(0, at), crc32c)).toThrow(/does not read back/);
    }
  });
});

const commands: readonly Command[] = [
  { kind: "openSession", session: "s", node: node(1) },
  { kind: "endSession", session: "s" },
  request("s"),
  {
    kind: "request",
    session: "s",
    request: {
      guards: [
        { key: "/a", value: undefined },
        { key: "/b", value: bytes("") },
      ],
      batches: [[], [put("/c", "x"), put("/d", "y", true), { kind: "delete", key: "/e" }]],
    },
  },
];

test.each(commands)("a command comes back as it was: $kind", (command) => {
  const encoded = encodeCommand(command);
  expect(decodeCommand(encoded)).toEqual(command);
  for (let at = 0; at < encoded.length; at++) expect(() => decodeCommand(encoded.subarray(0, at))).toThrow();
  expect(() => decodeCommand(Uint8Array.of(...encoded, 0))).toThrow(/left/);
});
