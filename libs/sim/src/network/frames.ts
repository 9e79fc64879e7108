import type { Metadata } from "@grpc/grpc-js";
import type { GrpcStatus } from "@tidemark/rpc";

/** What the two sides of a connection tell each other: HTTP/2, as far as gRPC needs it. */
export type Frame = ConnectionFrame | StreamFrame | ValueFrame;

/** What another protocol than gRPC sends, as it is. */
export interface ValueFrame {
  readonly kind: "value";
  readonly value: unknown;
}

export type ConnectionFrame =
  /** The server's first: the connection is ready. */
  | { readonly kind: "settings" }
  /** The server takes no more calls on this connection. */
  | { readonly kind: "goAway" }
  | { readonly kind: "ping" }
  | { readonly kind: "pong" };

export type StreamFrame =
  /** Begins a call. `timeoutMs`: Infinity where the caller named no deadline. */
  | {
      readonly kind: "headers";
      readonly stream: number;
      readonly path: string;
      readonly metadata: Metadata;
      readonly timeoutMs: number;
    }
  | { readonly kind: "data"; readonly stream: number; readonly bytes: Uint8Array }
  /** So many bytes were taken. */
  | { readonly kind: "windowUpdate"; readonly stream: number; readonly bytes: number }
  /** The caller sends no more. */
  | { readonly kind: "endStream"; readonly stream: number }
  /** The caller gives the call up. */
  | { readonly kind: "reset"; readonly stream: number }
  /** The call is over. */
  | { readonly kind: "status"; readonly stream: number; readonly status: GrpcStatus };

/** Bytes of a frame that carries nothing: its header, and what TCP and IP add. */
const frameBytes = 64;

export function sizeOf(frame: Frame): number {
  return frame.kind === "data" ? frameBytes + frame.bytes.length : frameBytes;
}
