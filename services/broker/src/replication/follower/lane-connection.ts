import type { MessageInitShape } from "@bufbuild/protobuf";
import type { BrokerId } from "@tidemark/ids";
import { type FetchRequestSchema, type FetchResponse, ReplicaService } from "@tidemark/proto/replica/v1";
import { openRawStream, type RawStream, type RpcChannel } from "@tidemark/rpc";
import type { StreamLimits } from "../limits.ts";
import type { LanePartitions } from "./lane-partitions.ts";

/** One connection to a leader and the stream over it. */
export interface LaneConnection {
  readonly endpoint: string;
  /** False once it was closed, or ended by itself. */
  readonly isOpen: boolean;
  /** True when so much credit is owed that the leader is told without a fetch. */
  readonly isCreditDue: boolean;
  /** Says what is to be said, as far as the leader takes it. */
  send(): void;
  /** The leader may send so many more bytes: told with what is said next. */
  credit(bytes: number): void;
  /** Nothing is told any more. A second call does nothing. */
  close(): void;
}

export interface LaneConnectionOptions {
  readonly brokerId: BrokerId;
  readonly leader: BrokerId;
  readonly endpoint: string;
  readonly channel: RpcChannel;
  readonly partitions: LanePartitions;
  readonly limits: StreamLimits;
  /** How long the leader may let a fetch wait, in milliseconds. */
  readonly waitMs: number;
  readonly onMessage: (message: FetchResponse) => void;
  /** The leader takes more. */
  readonly onWritable: () => void;
  /** It ended by itself, with why in words. */
  readonly onLost: (why: string) => void;
}

/** Connects, and closes the channel with the stream. */
export function openLaneConnection(options: LaneConnectionOptions): LaneConnection {
  const { channel, partitions, limits } = options;
  let isOpen = true;
  let canWrite = true;
  let creditOwed = limits.creditBytes;

  const close = () => {
    if (!isOpen) return;
    isOpen = false;
    channel.close();
  };
  const stream: RawStream<MessageInitShape<typeof FetchRequestSchema>> = openRawStream(
    channel,
    ReplicaService.method.fetch,
    () => ({
      onMessage(message) {
        if (isOpen) options.onMessage(message);
      },
      onDrain() {
        canWrite = true;
        if (isOpen) options.onWritable();
      },
      onClose(error) {
        if (!isOpen) return;
        close();
        options.onLost(error?.message ?? "the leader ended it");
      },
    }),
  );
  const isCreditDue = () => creditOwed >= limits.creditBytes / 4;

  return {
    endpoint: options.endpoint,
    get isOpen() {
      return isOpen;
    },
    get isCreditDue() {
      return isCreditDue();
    },
    send() {
      while (isOpen && canWrite && (partitions.hasItems || isCreditDue())) {
        const creditBytes = creditOwed;
        creditOwed = 0;
        canWrite = stream.write({
          follower: options.brokerId,
          leader: options.leader,
          creditBytes,
          maxWaitMs: options.waitMs,
          ...partitions.takeItems(),
        });
      }
    },
    credit(bytes) {
      creditOwed += bytes;
    },
    close,
  };
}
