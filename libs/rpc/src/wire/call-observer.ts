import type { DescMethod } from "@bufbuild/protobuf";
import type { status } from "@grpc/grpc-js";
import type { TidemarkError } from "../errors/tidemark-error.ts";

/** A call that begins, seen from one of its sides. */
export interface ObservedCall {
  readonly side: "client" | "server";
  readonly method: DescMethod;
  /** host:port of the other side: the channel's endpoint at a client. */
  readonly peer: string;
  /** Name of the listener at a server; the traffic class at a client. */
  readonly via: string;
  /** As received at a server, as sent by a client. */
  readonly traceparent: string | undefined;
}

/** How a call ended. */
export interface CallEnd {
  readonly status: status;
  /** Undefined when it ended well. */
  readonly error: TidemarkError | undefined;
  /** From its beginning, in milliseconds. */
  readonly durationMs: number;
  readonly messagesReceived: number;
  readonly messagesSent: number;
  /** Encoded messages, without frames. */
  readonly bytesReceived: number;
  readonly bytesSent: number;
}

/**
 * Sees every call begin and end: where telemetry and metrics are fastened. Returns what to call at the end, or nothing
 * for a call that is of no interest. Called on hot paths; it must not throw.
 */
export type CallObserver = (call: ObservedCall) => ((end: CallEnd) => void) | undefined;
