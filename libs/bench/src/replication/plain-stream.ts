/** What plain grpc-js streams do: bytes for as long as more of them is asked for, unchecked and undecoded. */
import { Client, credentials, type ServerDuplexStream, type UntypedServiceImplementation } from "@grpc/grpc-js";

const same = (bytes: Buffer) => bytes;

/** A bidirectional call of bytes, as grpc-js defines it. */
export const plainStream = {
  path: "/plain.Plain/Stream",
  requestStream: true,
  responseStream: true,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
} as const;

/** Channel and server options that both kinds of streams are measured with. */
export const plainOptions = {
  "grpc.max_receive_message_length": -1,
  "grpc.max_send_message_length": -1,
  "grpc-node.flow_control_window": 8 * 2 ** 20,
};

/** Each request names a count of bytes: so many are sent as one message. */
export function plainSource(most: number): UntypedServiceImplementation {
  const given = Buffer.alloc(most, 7);
  return {
    stream(call: ServerDuplexStream<Buffer, Buffer>) {
      call.on("data", (request: Buffer) => call.write(given.subarray(0, request.readUInt32BE(0))));
      call.on("end", () => call.end());
      call.on("error", () => undefined);
    },
  };
}

/** Takes `total` bytes in messages of `messageBytes`, so many of which are asked for ahead. */
export async function takePlain(
  port: number,
  work: { readonly total: number; readonly messageBytes: number; readonly ahead: number },
): Promise<void> {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
    ...plainOptions,
    "grpc.use_local_subchannel_pool": 1,
  });
  const call = client.makeBidiStreamRequest(plainStream.path, same, same);
  const ask = Buffer.alloc(4);
  ask.writeUInt32BE(work.messageBytes, 0);
  let left = work.total;
  try {
    await new Promise<void>((resolve, reject) => {
      call.on("error", reject);
      call.on("data", (bytes: Buffer) => {
        left -= bytes.length;
        if (left <= 0) resolve();
        else call.write(ask);
      });
      for (let count = 0; count < work.ahead; count++) call.write(ask);
    });
  } finally {
    call.on("error", () => undefined);
    call.cancel();
    client.close();
  }
}
