/**
 * A leader in a process of its own, with partitions in memory that always have data, and beside it plain grpc-js streams
 * that give out as many bytes.
 *
 * Arguments: the size of a batch in bytes, and how many of them an answer has at most. Prints the two ports.
 */
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { createRpcServer } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { createEndlessPartitions } from "./endless-partition.ts";
import { plainOptions, plainSource, plainStream } from "./plain-stream.ts";
import { measuredLeader, measuredStreams } from "./streams.ts";

const [batchBytes, batchesMax] = process.argv.slice(2).map(Number);
const partitions = createEndlessPartitions(batchBytes ?? 0, batchesMax ?? 0);
const { service } = measuredStreams({ id: measuredLeader, partitions });
const server = createRpcServer({
  runtime: createNodeRuntime(),
  listeners: { internal: { port: 0, services: [service] } },
});
const { internal } = await server.start();
const plain = new Server(plainOptions);
plain.addService({ stream: plainStream }, plainSource(2 ** 21));
plain.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  console.log(`${internal?.port} ${port}`);
});
