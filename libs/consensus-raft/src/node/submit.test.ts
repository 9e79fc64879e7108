import { LinkLostError } from "@tidemark/consensus";
import { createSignal } from "@tidemark/consensus/store";
import { createManualTime } from "@tidemark/runtime";
import { expect, it } from "vitest";
import type { RaftNode } from "./node.ts";
import { readRevision, submit } from "./submit.ts";

it("a read of what the node has not applied ends when its disk fails, as nothing is applied any more", async () => {
  const changed = createSignal();
  const failures: string[] = [];
  const confirmedAtOnce: RaftNode["reads"]["ask"] = (_, onEnd) => {
    onEnd({ kind: "confirmed", index: 5 as never });
    return { forget: () => undefined };
  };
  const node = {
    runtime: createManualTime(),
    durations: { electionTimeoutMs: 500 },
    reads: { ask: confirmedAtOnce },
    applier: { index: () => 4 },
    pump: () => undefined,
    failure: () => failures.at(-1),
    changed,
  } as unknown as RaftNode;
  const reading = readRevision(node, new AbortController().signal);
  reading.catch(() => undefined);
  // It has its index now, and waits.
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  failures.push("IO: sync");
  changed.notify();
  await expect(reading).rejects.toBeInstanceOf(LinkLostError);
});

it("a command that went to a leader that answers nothing is given up when another leads", async () => {
  const changed = createSignal();
  let status = { role: "follower", leader: "a", term: 3 };
  const node = {
    raft: { status: () => status },
    peers: { of: (id: string) => ({ id, address: undefined }) },
    transport: { submit: () => new Promise(() => undefined) },
    failure: () => undefined,
    changed,
  } as unknown as RaftNode;
  let isOver = false;
  const submitting = submit(node, { kind: "endSession", session: "s" }, new AbortController().signal).finally(() => {
    isOver = true;
  });
  submitting.catch(() => undefined);
  const tell = async (next: Partial<typeof status> & { leader?: string | undefined }) => {
    status = { ...status, ...next };
    changed.notify();
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  };
  await tell({});
  // Nobody leads for a while: the same one may go on.
  await tell({ term: 4, leader: undefined as never });
  expect(isOver).toBe(false);
  await tell({ leader: "b" });
  await expect(submitting).rejects.toBeInstanceOf(LinkLostError);
});
