import { logIndex, type Message, term } from "@tidemark/raft";
import { createManualTime } from "@tidemark/runtime";
import { describe, expect, it } from "vitest";
import { batches, ids } from "../testing/storage-fixture.ts";
import { createCommitNews } from "./commit-news.ts";

const [self, first, second] = ids as [Message["to"], Message["to"], Message["to"]];

function append(to: Message["to"], previous: number, entries: number): Message {
  const of = { index: logIndex(previous), term: term(1) };
  const added = batches(previous + 1, previous + entries, 1);
  return {
    kind: "appendRequest",
    from: self,
    to,
    term: term(1),
    toVoter: true,
    previous: of,
    entries: added,
    commit: of.index,
  };
}

function underTest() {
  const time = createManualTime();
  const sent: string[] = [];
  const news = createCommitNews(time.scheduler, (message) => {
    const entries =
      message.kind === "appendRequest" ? `${message.previous.index}+${message.entries.length}` : message.kind;
    sent.push(`${message.to === first ? "first" : "second"} ${entries}`);
  });
  return { time, sent, news };
}

describe("an append without entries", () => {
  it("leaves as soon as what is at hand is done", async () => {
    const { time, sent, news } = underTest();
    news.send(append(first, 4, 0));
    news.send(append(second, 4, 0));
    expect(sent).toEqual([]);
    await time.advance(0);
    expect(sent).toEqual(["first 4+0", "second 4+0"]);
  });

  it("is dropped where entries follow to the same node: they carry the commit index", async () => {
    const { time, sent, news } = underTest();
    news.send(append(first, 4, 0));
    news.send(append(second, 4, 0));
    news.send(append(first, 4, 1));
    await time.advance(0);
    expect(sent).toEqual(["first 4+1", "second 4+0"]);
  });

  it("holds up nothing else, and is gone with the node", async () => {
    const { time, sent, news } = underTest();
    news.send(append(first, 4, 0));
    news.send({ kind: "timeoutNow", from: self, to: first, term: term(1) });
    news.stop();
    await time.advance(0);
    expect(sent).toEqual(["first timeoutNow"]);
    expect(time.pending()).toBe(0);
  });
});
