import { LogService } from "@tidemark/proto/log/v1";
import { createDeferred, type Runtime } from "@tidemark/runtime";
import { createChannel } from "../client/grpc-channel.ts";
import { openRawStream } from "../client/rpc-client.ts";
import type { TidemarkError } from "../errors/tidemark-error.ts";
import { createRpcServer } from "../server/rpc-server.ts";
import { serve } from "../server/served-service.ts";

/** What to send over one produce stream, in one process. */
export interface StreamWork {
  readonly runtime: Runtime;
  /** Size of one message's batches, in bytes. */
  readonly batchBytes: number;
  readonly messages: number;
  /** Absent: the defaults. */
  readonly receiveWindowBytes?: { readonly stream: number; readonly connection: number };
  /** Puts something between the two sides: takes the server's port, and gives the one to connect to. */
  readonly through?: (port: number) => Promise<number>;
}

export interface StreamFigures {
  readonly bytes: number;
  /** From the first write to the end of the stream at the client, in milliseconds. */
  readonly durationMs: number;
}

/** Sends batches as fast as a raw stream takes them, to a server that drops them. */
export async function measureStream(work: StreamWork): Promise<StreamFigures> {
  const { runtime, batchBytes, messages, receiveWindowBytes, through } = work;
  let bytes = 0;
  const sink = serve(
    LogService,
    {},
    {
      raw: {
        produceStream: (stream) => ({
          onMessage: ({ batches }) => (bytes += batches.length),
          onEnd: () => stream.end(),
        }),
      },
    },
  );
  const listener = { port: 0, services: [sink], ...(receiveWindowBytes !== undefined && { receiveWindowBytes }) };
  const server = createRpcServer({ runtime, listeners: { client: listener } });
  const { client } = await server.start();
  const port = client?.port ?? 0;
  const channel = createChannel(`127.0.0.1:${(await through?.(port)) ?? port}`, { trafficClass: "produce", runtime });
  try {
    await channel.waitForReady(10_000);
    const durationMs = await send(channel, runtime, { batches: new Uint8Array(batchBytes), messages });
    return { bytes, durationMs };
  } finally {
    channel.close();
    await server.stop(0);
  }
}

async function send(
  channel: ReturnType<typeof createChannel>,
  { clock }: Runtime,
  work: { readonly batches: Uint8Array; readonly messages: number },
): Promise<number> {
  const ended = createDeferred<TidemarkError | undefined>();
  const startedAt = clock.monotonicMs();
  let left = work.messages;
  const stream = openRawStream(channel, LogService.method.produceStream, () => ({
    onMessage: () => undefined,
    onDrain: () => pump(),
    onClose: ended.resolve,
  }));
  const pump = () => {
    while (left > 0) {
      left -= 1;
      if (!stream.write({ topic: "t", batches: work.batches })) return;
    }
    stream.end();
  };
  pump();
  const error = await ended.promise;
  if (error !== undefined) throw error;
  return clock.monotonicMs() - startedAt;
}
