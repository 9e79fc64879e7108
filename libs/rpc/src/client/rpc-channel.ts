import type { Cancel, Runtime } from "@tidemark/runtime";
import type { Keepalive } from "../wire/budgets.ts";
import type { ByteBudget } from "../wire/byte-budget.ts";
import type { CallObserver } from "../wire/call-observer.ts";
import type { ClientWire, ClientWireOptions } from "./client-wire.ts";

/**
 * What calls are for. Each class has a connection of its own, so that a long catch-up never stands before a heartbeat,
 * nor before the followers that are in sync.
 */
export type TrafficClass = "control" | "produce" | "fetch" | "replication" | "catch-up" | "raft" | "admin";

/** Whether a channel is connected. */
export type ChannelState = "idle" | "connecting" | "ready" | "failing" | "closed";

/** A way to one endpoint, of one traffic class. It connects by itself, and again after a loss. */
export interface RpcChannel {
  /** host:port */
  readonly endpoint: string;
  readonly trafficClass: TrafficClass;
  readonly runtime: Runtime;
  readonly observer: CallObserver | undefined;
  /** Bytes that its calls may have queued. */
  readonly budget: ByteBudget;
  /** Largest message that is sent and taken, in bytes. */
  readonly messageLimitBytes: number;
  /** For calls that name no deadline, in milliseconds. */
  readonly defaultTimeoutMs: number;
  state(): ChannelState;
  /** Calls `onChange` with each new state until cancelled. */
  watchState(onChange: (state: ChannelState) => void): Cancel;
  /**
   * Resolves when connected; connects if need be, as often as it takes. Throws REASON_UNAVAILABLE (not applied) after
   * `timeoutMs`, or when the channel is closed, and REASON_CANCELLED when `signal` is aborted.
   */
  waitForReady(timeoutMs: number, signal?: AbortSignal): Promise<void>;
  startCall(options: ClientWireOptions): ClientWire;
  /** Ends every call that runs with REASON_CANCELLED. Later calls fail with REASON_UNAVAILABLE, not applied. */
  readonly close: () => void;
}

/** Certificates of a client, all PEM. */
export interface ClientTls {
  /** Authorities that the server's certificate is checked against. Absent: the system's. */
  readonly authorities?: string | Uint8Array;
  /** Certificate chain of this process, its own first: for servers that require one. Goes with `key`. */
  readonly certificate?: string | Uint8Array;
  readonly key?: string | Uint8Array;
  /** The name that the server's certificate must bear, where it is not the endpoint's. */
  readonly serverName?: string;
}

export interface ChannelOptions {
  readonly trafficClass: TrafficClass;
  readonly runtime: Runtime;
  /** Absent: cleartext. */
  readonly tls?: ClientTls;
  /** Absent: 8 MiB, what a broker sends at most. */
  readonly messageLimitBytes?: number;
  /** Absent: 30 s. */
  readonly defaultTimeoutMs?: number;
  readonly keepalive?: Keepalive;
  /** Absent: as in RECEIVE_WINDOW_BYTES. Only streams and connections of the same size are possible at a client. */
  readonly receiveWindowBytes?: number;
  /** Shared with the process's servers. Absent: a quarter of the heap. */
  readonly processBudget?: ByteBudget;
  readonly observer?: CallObserver;
}
