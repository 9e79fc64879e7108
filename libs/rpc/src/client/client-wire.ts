import type { Metadata } from "@grpc/grpc-js";
import type { GrpcStatus } from "../errors/grpc-status.ts";
import type { WireBytes } from "../wire/wire-bytes.ts";

/** One outgoing call as its transport takes it: gRPC over HTTP/2, or a twin in memory. */
export interface ClientWire {
  /** False until the transport may have sent something: an end before that is certainly without effect. */
  readonly requestSent: boolean;
  start(headers: Metadata, listener: ClientWireListener): void;
  /** One at a time: the next one when `onFlushed` was called. */
  sendMessage(bytes: WireBytes, onFlushed: () => void): void;
  /** Nothing more will be sent. After the last message was handed over. */
  halfClose(): void;
  /** Asks for one `onMessage`, which may come before it returns. */
  startRead(): void;
  /** Gives the call up. `onStatus` still comes. */
  cancel(text: string): void;
}

export interface ClientWireListener {
  onMessage(bytes: Uint8Array): void;
  /** The call is over. Once and last. */
  onStatus(ended: GrpcStatus): void;
}

export interface ClientWireOptions {
  /** /package.Service/Method */
  readonly path: string;
  /** Waits for a connection where one cannot be had at once, instead of failing. */
  readonly waitForReady: boolean;
  /** Milliseconds left to the call when its request is sent. Infinity: it has no deadline. */
  readonly remainingMs: () => number;
}
