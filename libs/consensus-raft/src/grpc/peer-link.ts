/**
 * The way to one other member: a stream for messages and, on a connection of its own, one for the pieces of snapshots. A
 * stream is begun by the first message that needs it, and again after it broke; what cannot leave now is dropped, since
 * the protocol says everything again.
 */
import type { DescMessage, DescMethod, MessageInitShape } from "@bufbuild/protobuf";
import { type ExchangeRequestSchema, type Hello, RaftService } from "@tidemark/proto/raft/v1";
import type { Message, NodeId } from "@tidemark/raft";
import { openRawStream, type RawStream, type RpcChannel } from "@tidemark/rpc";
import type { Runtime } from "@tidemark/runtime";
import { toWire } from "./message-codec.ts";

/** After a stream broke, no other is begun for so long, in milliseconds. */
const pauseMs = 50;
/** More is not queued: the peer does not take it, or is not there. */
const queuedBytesMax = 8 * 1024 * 1024;

type HelloInit = Pick<Hello, "clusterId" | "from" | "to" | "address">;
type Request = MessageInitShape<typeof ExchangeRequestSchema>;

export interface PeerLink {
  readonly id: NodeId;
  readonly endpoint: string;
  /** The peer itself said where it is reached: the membership did not. */
  readonly isToStranger: boolean;
  send(message: Message): void;
  /** Whether messages cannot leave now. */
  isBroken(): boolean;
  close(): void;
}

export interface PeerLinkOptions {
  readonly id: NodeId;
  readonly endpoint: string;
  readonly isToStranger: boolean;
  /** For a traffic class each. */
  readonly openChannel: (trafficClass: "raft" | "replication") => RpcChannel;
  readonly hello: () => HelloInit;
  readonly runtime: Runtime;
  /** A stream broke. */
  readonly onBroken: () => void;
}

export function createPeerLink(options: PeerLinkOptions): PeerLink {
  const exchange = createLane(options, "raft", RaftService.method.exchange);
  const snapshots = createLane(options, "replication", RaftService.method.installSnapshot);
  return {
    id: options.id,
    endpoint: options.endpoint,
    isToStranger: options.isToStranger,
    isBroken: () => exchange.isBroken(),
    send: (message) => (message.kind === "snapshotChunk" ? snapshots : exchange).send(message),
    close() {
      exchange.close();
      snapshots.close();
    },
  };
}

interface Lane {
  send(message: Message): void;
  isBroken(): boolean;
  close(): void;
}

function createLane(
  { openChannel, hello, runtime, onBroken }: PeerLinkOptions,
  trafficClass: "raft" | "replication",
  method: DescMethod & { readonly input: typeof ExchangeRequestSchema | DescMessage; readonly output: DescMessage },
): Lane {
  let channel: RpcChannel | undefined;
  let stream: RawStream<Request> | undefined;
  let brokenMs = Number.NEGATIVE_INFINITY;
  let closed = false;

  const open = (): RawStream<Request> => {
    channel ??= openChannel(trafficClass);
    const opened = openRawStream(channel, method, () => ({
      onMessage: () => undefined,
      onClose() {
        if (stream !== opened) return;
        stream = undefined;
        brokenMs = runtime.clock.monotonicMs();
        if (!closed) onBroken();
      },
    })) as RawStream<Request>;
    opened.write({ content: { case: "hello", value: hello() } });
    return opened;
  };

  return {
    isBroken: () => channel !== undefined && channel.state() !== "ready",
    send(message) {
      if (closed || (stream === undefined && runtime.clock.monotonicMs() - brokenMs < pauseMs)) return;
      stream ??= open();
      if (stream.bytesQueued() > queuedBytesMax) return;
      stream.write({ content: { case: "message", value: toWire(message) } });
    },
    close() {
      closed = true;
      stream?.end();
      channel?.close();
    },
  };
}
