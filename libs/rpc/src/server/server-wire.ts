import type { Metadata } from "@grpc/grpc-js";
import type { GrpcStatus } from "../errors/grpc-status.ts";
import type { TidemarkError } from "../errors/tidemark-error.ts";
import type { ByteBudget } from "../wire/byte-budget.ts";
import type { WireBytes } from "../wire/wire-bytes.ts";
import type { PeerIdentity } from "./call-context.ts";

/** One incoming call as its transport gives it: gRPC over HTTP/2, or a twin in memory. */
export interface ServerWire {
  readonly metadata: Metadata;
  /** host:port of the caller. */
  readonly peer: string;
  identity(): PeerIdentity | undefined;
  /** Name of the listener. */
  readonly listener: string;
  /** Milliseconds that the caller gives. Infinity: it named no deadline. */
  readonly timeoutMs: number;
  /** Bytes that may be queued on the call's connection. */
  readonly connectionBudget: ByteBudget;
  /** Called once, before anything else. */
  start(listener: ServerWireListener): void;
  /** Asks for one `onMessage` or `onHalfClose`, which may come before it returns. */
  startRead(): void;
  /** `onFlushed` is called when the bytes have left this process; not at all when the call is over before. */
  sendMessage(bytes: WireBytes, onFlushed: () => void): void;
  /** Ends the call after what was sent before. */
  sendStatus(status: GrpcStatus): void;
}

export interface ServerWireListener {
  onMessage(bytes: Uint8Array): void;
  /** The caller sends no more. */
  onHalfClose(): void;
  /**
   * The call is over, and nothing of it is left on this side: cancelled, its connection lost, ended by the transport
   * (`cause`), or by our own status, when that and everything before it has left. Called once.
   */
  onClose(cause?: TidemarkError): void;
}
