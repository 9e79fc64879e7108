/**
 * A member of a quorum in a process of its own, with a candidate. Argument: where it is, as JSON. Each time that it leads
 * it commits a batch and says when that was done. A load on standard input, as JSON, is carried out by the one that leads,
 * which says the rates.
 */
import { createInterface } from "node:readline";
import { crc32c } from "@tidemark/compression";
import { createGrpcTransport, defaultTiming, formatAddress, openRaftStore } from "@tidemark/consensus-raft";
import { createNodeDisk } from "@tidemark/disk";
import { controllerId, directoryId } from "@tidemark/ids";
import { createRpcServer, grpcTransport } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { type AppendLoad, leadingEpoch, measureAppends } from "./appends.ts";
import type { MemberLine, MemberPlace } from "./quorum.ts";

const place = JSON.parse(process.argv[2] ?? "{}") as MemberPlace;
const runtime = createNodeRuntime();
const id = directoryId(place.directoryId);
const identity = { controllerId: controllerId(place.id), directoryId: id, endpoint: `127.0.0.1:${place.port}` };
const transport = createGrpcTransport({ id, address: () => formatAddress(identity), runtime, rpc: grpcTransport });
const server = createRpcServer({
  runtime,
  listeners: { internal: { host: "127.0.0.1", port: place.port, services: [transport.service] } },
});
await server.start();
const store = await openRaftStore({
  disk: createNodeDisk({ runtime }),
  directory: place.directory,
  directoryId: id,
  clusterId: undefined,
  transport,
  crc32c,
  runtime,
  timing: { ...defaultTiming, electionTimeoutMs: place.electionTimeoutMs ?? defaultTiming.electionTimeoutMs },
});
const consensus = store.candidate();
const say = (line: MemberLine) => console.log(JSON.stringify(line));

createInterface({ input: process.stdin }).on("line", (line) => {
  if (store.node.lease.term() === undefined) return;
  const measure = async () => measureAppends(consensus, await leadingEpoch(consensus), JSON.parse(line) as AppendLoad);
  measure().then(
    (rates) => say({ kind: "measured", rates }),
    (error: unknown) => say({ kind: "failed", message: String(error) }),
  );
});

const commitWhenLeading = async () => {
  for await (const belief of consensus.leadership()) {
    if (belief.kind !== "leading") continue;
    const outcome = await consensus.append(belief.epoch, [{ kind: "delete", key: "/bench/none" }]);
    if (outcome.kind === "committed") say({ kind: "led", atMs: performance.timeOrigin + performance.now() });
  }
};
commitWhenLeading().catch((error: unknown) => say({ kind: "failed", message: String(error) }));
await consensus.join(identity);
say({ kind: "joined" });
