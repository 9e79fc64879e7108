/**
 * A member of a quorum in a process of its own, with a candidate. Argument: where it is, as JSON. Each time that it leads
 * it commits a batch and says when that was done, and goes on with as many at once as it was told to. On standard input,
 * a line each, as JSON: a load, which the one that leads carries out and says the rates of, or to be cut off.
 */
import { createInterface } from "node:readline";
import { crc32c } from "@tidemark/compression";
import { createGrpcTransport, defaultTiming, formatAddress, openRaftStore } from "@tidemark/consensus-raft";
import { createNodeDisk } from "@tidemark/disk";
import type { ControllerEpoch } from "@tidemark/ids";
import { controllerId, directoryId } from "@tidemark/ids";
import { createRpcServer, grpcTransport } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { leadingEpoch, measureAppends } from "./appends.ts";
import { createCutTransport } from "./cut-transport.ts";
import type { MemberLine, MemberOrder, MemberPlace } from "./quorum.ts";

const place = JSON.parse(process.argv[2] ?? "{}") as MemberPlace;
const runtime = createNodeRuntime();
const id = directoryId(place.directoryId);
const identity = { controllerId: controllerId(place.id), directoryId: id, endpoint: `127.0.0.1:${place.port}` };
const grpc = createGrpcTransport({ id, address: () => formatAddress(identity), runtime, rpc: grpcTransport });
const transport = createCutTransport(grpc);
const server = createRpcServer({
  runtime,
  listeners: { internal: { host: "127.0.0.1", port: place.port, services: [grpc.service] } },
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
  const told = JSON.parse(line) as MemberOrder;
  if ("isCut" in told) return transport.setCut(told.isCut);
  if (store.node.lease.term() === undefined) return;
  const measure = async () => measureAppends(consensus, await leadingEpoch(consensus), told);
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
    for (let worker = 0; worker < (place.appendsAtOnce ?? 0); worker++) appendOn(belief.epoch);
  }
};
const appendOn = (epoch: ControllerEpoch): void => {
  const load = { inFlight: 1, changes: 10, seconds: Number.POSITIVE_INFINITY };
  // It ends with the leadership.
  measureAppends(consensus, epoch, load).catch(() => undefined);
};
commitWhenLeading().catch((error: unknown) => say({ kind: "failed", message: String(error) }));
await consensus.join(identity);
say({ kind: "joined" });
