import { Format } from "@tidemark/proto/log/v1";
import { encodeBatch, portableCrc32c } from "@tidemark/record";
import { expect, test } from "vitest";
import { decodeBatches } from "./index.ts";

test("batches that compaction left without records are passed over, and reading goes on behind them", () => {
  const record = { timestamp: 0n, key: null, value: new TextEncoder().encode("gone"), headers: [] };
  const empty = encodeBatch([record, record], { crc32c: portableCrc32c }).slice(0, 61);
  const view = new DataView(empty.buffer);
  view.setInt32(8, empty.length - 12);
  view.setInt32(57, 0);
  view.setUint32(17, portableCrc32c(empty.subarray(21)));
  const limits = { from: 0n, recordsMax: 1, bytesMax: 1 };
  const decoded = decodeBatches(empty, limits, { format: Format.TEXT, codecs: {} });
  expect(decoded).toEqual({ kind: "ok", records: [], bytes: 0, nextOffset: 2n });
});
