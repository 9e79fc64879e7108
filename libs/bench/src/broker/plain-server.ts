/**
 * What plain grpc-js does on this machine, in a process of its own: it takes bytes and answers with few, and gives out
 * bytes that it holds. Nothing is checked, decoded or stored: the ceiling of everything built on it.
 *
 * Argument: how many bytes a fetch gives out.
 */
import { Server, ServerCredentials, type ServiceDefinition } from "@grpc/grpc-js";
import { plainMethod } from "./plain-method.ts";

const given = Buffer.alloc(Number(process.argv[2]), 7);
const few = Buffer.alloc(16);
const server = new Server({ "grpc.max_receive_message_length": 16 * 2 ** 20 });
const definition = { produce: plainMethod("Produce"), fetch: plainMethod("Fetch") } as unknown as ServiceDefinition;
server.addService(definition, {
  produce: (_call: unknown, callback: (error: null, answer: Buffer) => void) => callback(null, few),
  fetch: (_call: unknown, callback: (error: null, answer: Buffer) => void) => callback(null, given),
});
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  console.log(port);
});
