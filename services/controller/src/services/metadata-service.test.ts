import type { Consensus, WatchEvent } from "@tidemark/consensus";
import { revision } from "@tidemark/ids";
import { ListRequestSchema } from "@tidemark/proto/admin/v1/metadata";
import { Reason } from "@tidemark/proto/common/v1";
import { afterEach, expect, it, onTestFinished, vi } from "vitest";
import { callContext, request } from "../testing/calls.ts";
import { createWorld } from "../testing/world.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

/** A store that shows so many further keys to whoever begins a watch. */
function withKeys(consensus: Consensus, count: number): Consensus {
  const value = new TextEncoder().encode(JSON.stringify({ text: "x".repeat(1000) }));
  async function* watch(signal: AbortSignal): AsyncGenerator<WatchEvent> {
    for await (const event of consensus.watch(signal)) {
      if (event.kind === "batch") yield event;
      else {
        const more = Array.from({ length: count }, (_, n) => [`/config/${n}`, value] as const);
        yield { kind: "snapshot", revision: revision(event.revision), entries: new Map([...event.entries, ...more]) };
      }
    }
  }
  return { ...consensus, watch };
}

it.each([
  { keys: 1000, isRefused: false },
  { keys: 8000, isRefused: true },
])("a list of $keys keys is made only where it may be answered", async ({ keys, isRefused }) => {
  const w = await createWorld();
  onTestFinished(() => w.close());
  const node = await w.start(1, { wrap: (consensus) => withKeys(consensus, keys) });
  await w.active();
  const read = vi.spyOn(JSON, "parse");
  const listed = w.settle(
    node.controller.metadata.list(request(ListRequestSchema, { prefix: "/config" }), callContext()),
  );
  if (isRefused) await expect(listed).rejects.toMatchObject({ reason: Reason.INVALID_ARGUMENT });
  else expect((await listed).entries).toHaveLength(keys);
  const isOfKeys = ([text]: Parameters<typeof JSON.parse>) => text.startsWith('{"text"');
  expect(read.mock.calls.filter(isOfKeys)).toHaveLength(isRefused ? 0 : keys);
});
