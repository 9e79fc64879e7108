import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Client, credentials } from "@grpc/grpc-js";
import { plainMethod } from "./plain-method.ts";

const program = join(dirname(fileURLToPath(import.meta.url)), "plain-server.ts");

/** A client of the plain server, which runs in another process. */
export interface PlainPeer {
  produce(bytes: Buffer): Promise<void>;
  fetch(): Promise<number>;
  close(): void;
}

/** `fetchBytes`: how many bytes a fetch gives out. */
export async function startPlainPeer(fetchBytes: number): Promise<PlainPeer> {
  const child: ChildProcess = spawn(process.execPath, [program, String(fetchBytes)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (child.stdout === null) throw new Error("The plain server has an output");
  const [port] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
    "grpc.max_receive_message_length": 16 * 2 ** 20,
  });
  const call = (name: string, bytes: Buffer): Promise<Buffer> => {
    const method = plainMethod(name);
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        bytes,
        (error, answer) => {
          if (error !== null) reject(error);
          else resolve(answer ?? Buffer.alloc(0));
        },
      );
    });
  };
  const empty = Buffer.alloc(16);
  return {
    produce: async (bytes) => {
      await call("Produce", bytes);
    },
    fetch: async () => (await call("Fetch", empty)).length,
    close() {
      client.close();
      child.kill();
    },
  };
}
