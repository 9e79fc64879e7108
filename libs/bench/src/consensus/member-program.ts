/**
 * A member of a quorum in a process of its own, with a candidate. Argument: where it is, as JSON. Says on standard output
 * when it leads. A load on standard input, as JSON, is carried out by the one that leads, which answers with the rates.
 */
import { createInterface } from "node:readline";
import { crc32c } from "@tidemark/compression";
import { createGrpcTransport, formatAddress, openRaftStore } from "@tidemark/consensus-raft";
import { createNodeDisk } from "@tidemark/disk";
import { controllerId, directoryId } from "@tidemark/ids";
import { createRpcServer, grpcTransport } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { type AppendLoad, leadingEpoch, measureAppends } from "./appends.ts";

const place = JSON.parse(process.argv[2] ?? "{}") as {
  id: number;
  directory: string;
  directoryId: string;
  port: number;
};
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
});
const consensus = store.candidate();
await consensus.join(identity);
createInterface({ input: process.stdin }).on("line", (line) => {
  if (store.node.lease.term() === undefined) return;
  const measure = async () => {
    const rates = await measureAppends(consensus, await leadingEpoch(consensus), JSON.parse(line) as AppendLoad);
    console.log(JSON.stringify(rates));
  };
  measure().catch((error: unknown) => console.log(JSON.stringify({ error: String(error) })));
});
await leadingEpoch(consensus);
console.log("leads");
