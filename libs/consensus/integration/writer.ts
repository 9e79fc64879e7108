/** A process with a store: appends until it is killed, and says on stdout what was committed. Argument: directory. */
import { crc32c } from "@tidemark/compression";
import { createNodeDisk } from "@tidemark/disk";
import { controllerId, directoryId } from "@tidemark/ids";
import { createNodeRuntime } from "@tidemark/runtime";
import { openSingleStore } from "../src/index.ts";

const [directory = ""] = process.argv.slice(2);
const runtime = createNodeRuntime();
const store = await openSingleStore({
  disk: createNodeDisk({ runtime }),
  directory,
  crc32c,
  runtime,
  compactionBytesMin: 50_000,
});
const consensus = store.candidate();
await consensus.join({
  controllerId: controllerId(1),
  directoryId: directoryId("00000000-0000-4000-8000-000000000001"),
  endpoint: "localhost:4650",
});

const encoder = new TextEncoder();
for await (const belief of consensus.leadership()) {
  if (belief.kind !== "leading") continue;
  process.stdout.write(`epoch ${belief.epoch}\n`);
  for (let n = 0; ; n++) {
    const value = encoder.encode(`${belief.epoch}/${n}`);
    const outcome = await consensus.append(belief.epoch, [{ kind: "put", key: `/test/${n % 20}`, value }]);
    if (outcome.kind !== "committed") throw new Error(outcome.message);
    process.stdout.write(`committed ${n}\n`);
  }
}
