import { getHeapStatistics } from "node:v8";
import { type ByteBudget, createByteBudget } from "./byte-budget.ts";

const MiB = 1024 * 1024;

/** Largest message that a kind of process takes and sends, in bytes. */
export const MESSAGE_LIMIT_BYTES = { broker: 8 * MiB, gatewayProduce: 4 * MiB, control: 4 * MiB } as const;

/**
 * Elements of one message that is received: entries of lists and maps, messages, fields that are not known. The largest batch
 * by default has 150,000 records at most.
 */
export const ELEMENTS_PER_MESSAGE = 250_000;

/** Streams that one connection may have open at once, by listener. */
export const STREAMS_PER_CONNECTION = { client: 256, internal: 64 } as const;

/** Bytes that may wait to be sent. A process's default is a quarter of the heap, see `createProcessBudget`. */
export const QUEUE_LIMIT_BYTES = { stream: 16 * MiB, connection: 64 * MiB } as const;

/**
 * What a queued message costs beside its bytes: frames, callbacks, entries in queues. Without it a million empty
 * messages would count as nothing.
 */
export const MESSAGE_OVERHEAD_BYTES = 512;

/**
 * What a message of a stream costs beside its bytes while its handler has not answered it: its request, who waits for the
 * answer, and its place in queues. In heap, where a batch's bytes are not.
 */
export const UNANSWERED_MESSAGE_BYTES = 4096;

/** Above this a stream's `write` returns false; `onDrain` comes below half of it. */
export const QUEUE_HIGH_WATER_BYTES = 1 * MiB;

/** Bytes that a peer may send before it is told that some were taken: HTTP/2's windows, of a stream and a connection. */
export const RECEIVE_WINDOW_BYTES = { stream: 4 * MiB, connection: 8 * MiB } as const;

/** What one listener lets in. */
export interface ConnectionLimits {
  /** Connections open at once. */
  readonly total: number;
  /** Of these from one address. */
  readonly perAddress: number;
  /** New ones from one address within a second. */
  readonly newPerAddressPerSecond: number;
  /** Until TLS and HTTP/2 have been agreed on, in milliseconds. */
  readonly handshakeTimeoutMs: number;
  /** Without an open call, in milliseconds. */
  readonly idleTimeoutMs: number;
  /** Calls cancelled by one connection within a second; beyond it the connection is closed. */
  readonly cancelledCallsPerSecond: number;
}

export const DEFAULT_CONNECTION_LIMITS: ConnectionLimits = {
  total: 1000,
  perAddress: 50,
  newPerAddressPerSecond: 20,
  handshakeTimeoutMs: 5000,
  idleTimeoutMs: 600_000,
  cancelledCallsPerSecond: 200,
};

/** How many connections that are not taken are told why at once; the others are reset. */
export const EXPLAINED_REFUSALS = {
  total: 64,
  perAddress: 8,
  newPerAddressPerSecond: 20,
  /** Until the connection is closed whatever came, in milliseconds. */
  timeoutMs: 1000,
} as const;

/** How long a call may take, in milliseconds. */
export interface DeadlineRule {
  /** Given to a call that comes without a deadline. Infinity: none. */
  readonly defaultMs: number;
  /** At most this, whatever the caller says. Infinity: as the caller says. */
  readonly maxMs: number;
}

/** Of unary calls. */
export const DEFAULT_DEADLINE: DeadlineRule = { defaultMs: 30_000, maxMs: 60_000 };

/** Of streams: they live as long as their caller says. */
export const STREAM_DEADLINE: DeadlineRule = { defaultMs: Number.POSITIVE_INFINITY, maxMs: Number.POSITIVE_INFINITY };

/** How both sides find out that the other is gone though its connection stands, in milliseconds. */
export interface Keepalive {
  /** Without anything received for so long, a ping is sent. */
  readonly timeMs: number;
  /** Without its answer for so long, the connection is closed. */
  readonly timeoutMs: number;
}

export const DEFAULT_KEEPALIVE: Keepalive = { timeMs: 10_000, timeoutMs: 5000 };

/** Longest pause between two attempts to connect, in milliseconds. */
export const RECONNECT_BACKOFF_MS = { initial: 50, max: 2000 } as const;

/** The budget of a process for bytes queued: one for all its servers and channels. `limit` in bytes. */
export function createProcessBudget(limit = Math.floor(getHeapStatistics().heap_size_limit / 4)): ByteBudget {
  return createByteBudget({ name: "process", limit });
}
