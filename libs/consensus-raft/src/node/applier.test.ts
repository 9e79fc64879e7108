import { crc32c } from "@tidemark/compression";
import { LinkLostError } from "@tidemark/consensus";
import { directoryId } from "@tidemark/ids";
import { logIndex, term } from "@tidemark/raft";
import { expect, test } from "vitest";
import { type Command, encodeCommand } from "../replica/commands.ts";
import { createReplica } from "../replica/replica.ts";
import { encodeContent } from "../replica/snapshot-codec.ts";
import { createApplier } from "./applier.ts";
import { createProposals } from "./proposals.ts";

test("a session that ended behind a snapshot is said to have ended, and one that goes on is not", () => {
  const node = directoryId("00000000-0000-4000-8000-000000000001");
  const other = directoryId("00000000-0000-4000-8000-000000000002");
  const open = (session: string, of: typeof node): Command => ({ kind: "openSession", session, node: of });
  const replica = createReplica();
  const applier = createApplier({ replica, proposals: createProposals(), crc32c, onEvent: () => undefined });
  const ended: string[] = [];
  const fed: string[] = [];
  applier.setFollower({ onFeed: ({ kind }) => fed.push(kind), onSessionEnded: (session) => ended.push(session) });
  for (const [at, command] of [open("a", node), open("b", other)].entries()) {
    applier.apply({ kind: "batch", index: logIndex(at + 1), term: term(1), data: encodeCommand(command) });
  }

  const ahead = createReplica();
  ahead.apply(open("b", other));
  applier.restore(logIndex(9), encodeContent(ahead.content(), crc32c));
  expect(fed.at(-1)).toBe("snapshot");
  expect(ended).toEqual(["a"]);
});

test("who waits for an entry that a snapshot passed over is told that its outcome is not known", async () => {
  const replica = createReplica();
  const proposals = createProposals();
  const applier = createApplier({ replica, proposals, crc32c, onEvent: () => undefined });
  const waiting = proposals.wait({ index: logIndex(7), term: term(1) });
  const behind = proposals.wait({ index: logIndex(10), term: term(1) });
  // The leadership is lost over entries that are committed, and not applied here yet.
  proposals.lose("deposed", logIndex(10));
  applier.restore(logIndex(9), encodeContent(replica.content(), crc32c));
  await expect(waiting).rejects.toBeInstanceOf(LinkLostError);
  applier.apply({ kind: "noop", index: logIndex(10), term: term(1) });
  await expect(behind).resolves.toMatchObject({ kind: "committed" });
});
