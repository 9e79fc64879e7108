import { crc32c } from "@tidemark/compression";
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
