import { Reason } from "@tidemark/proto/common/v1";
import { Acks } from "@tidemark/proto/log/v1";
import { TidemarkError } from "@tidemark/rpc";
import { createManualTime } from "@tidemark/runtime";
import { expect, test } from "vitest";
import type { Connection } from "../connection.ts";
import { createBatchLinks } from "./batch-links.ts";

test("a stream that was full when it ended leaves room for the next one", async () => {
  const time = createManualTime();
  const ends: ((error: TidemarkError) => void)[] = [];
  const roomSeen: boolean[] = [];
  const connection = {
    runtime: time,
    checkOpen: () => undefined,
    openProduceStream(_: string, createListener: Parameters<Connection["openProduceStream"]>[1]) {
      const listener = createListener();
      ends.push((error) => listener.onClose?.(error));
      // The transport takes no more for now.
      return { write: () => false, end: () => undefined };
    },
  } as unknown as Connection;
  const links = createBatchLinks(connection, {
    inFlightBytesMax: 1000,
    onRoom: () => roomSeen.push(links.hasRoom("broker:1")),
  });
  const batch = { topic: "t", partition: 0, acks: Acks.ALL, batches: new Uint8Array(10), timeoutMs: 1000 };
  const sent = links.send("broker:1", batch);
  expect(links.hasRoom("broker:1")).toBe(false);
  ends[0]?.(new TidemarkError({ reason: Reason.UNAVAILABLE, message: "killed" }));
  await expect(sent).rejects.toMatchObject({ reason: Reason.UNAVAILABLE });
  expect(roomSeen).toEqual([true]);
  links.send("broker:1", batch).catch(() => undefined);
  expect(ends).toHaveLength(2);
  links.close();
});
