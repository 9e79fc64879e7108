import type { FlushToken } from "@tidemark/raft";
import { createManualTime } from "@tidemark/runtime";
import { expect, test } from "vitest";
import type { RaftStorage } from "../storage/storage.ts";
import { write } from "../testing/storage-fixture.ts";
import { createDiskWriter } from "./disk-writer.ts";

async function microtasks(count: number): Promise<void> {
  for (let passed = 0; passed < count; passed++) await Promise.resolve();
}

test("a write is carried out whenever it comes, and waits for no other behind it", async () => {
  const { clock } = createManualTime();
  const storage: Pick<RaftStorage, "write" | "idle"> = { write: async () => {}, idle: async () => {} };
  for (let later = 0; later < 30; later++) {
    const flushed: FlushToken[] = [];
    const writer = createDiskWriter({
      storage: storage as RaftStorage,
      clock,
      onEvent: () => undefined,
      onFlushed: (token) => flushed.push(token),
      onFailed: (error) => expect.fail(error.message),
    });
    const first = write({});
    const second = write({});
    writer.add(first);
    await microtasks(later);
    writer.add(second);
    await microtasks(50);
    expect(flushed.at(-1), `${later} turns later`).toBe(second.token);
    await writer.stop();
  }
});
