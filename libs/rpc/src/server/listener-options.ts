import type { ConnectionLimits, Keepalive } from "../wire/budgets.ts";
import type { ServedService } from "./served-service.ts";
import type { CreateWebHandler } from "./web-edge.ts";

/** Certificates of a listener, all PEM. */
export interface ServerTls {
  /** Certificate chain of this process, its own first. */
  readonly certificate: string | Uint8Array;
  readonly key: string | Uint8Array;
  /** Authorities that clients' certificates are checked against. Absent: the system's. */
  readonly authorities?: string | Uint8Array;
  /** Whether a client without a valid certificate is turned away. */
  readonly requireClientCertificate: boolean;
}

/** One place where a server can be called. */
export interface ListenerOptions {
  /** Name or address to bind. Absent: 127.0.0.1. */
  readonly host?: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Absent: cleartext. */
  readonly tls?: ServerTls;
  readonly services: readonly ServedService[];
  /** Makes what answers HTTP that is not gRPC on the same port. Absent: only gRPC is understood. */
  readonly web?: CreateWebHandler;
  /** Largest message taken, in bytes. Absent: 4 MiB. */
  readonly messageLimitBytes?: number;
  /** Elements of a message taken: entries of lists and maps, messages inside. Absent: ELEMENTS_PER_MESSAGE. */
  readonly elementLimit?: number;
  /** Largest message sent, in bytes. Absent: as the largest that is taken. */
  readonly sendLimitBytes?: number;
  /** Streams that one connection may have open. Absent: 64 on a listener named `internal`, else 256. */
  readonly streamsPerConnection?: number;
  /** What is absent is as in DEFAULT_CONNECTION_LIMITS. */
  readonly connections?: Partial<ConnectionLimits>;
  readonly keepalive?: Keepalive;
  /** Bytes that a stream, and all streams of a connection, may have waiting. Absent: as in QUEUE_LIMIT_BYTES. */
  readonly queueLimitBytes?: { readonly stream: number; readonly connection: number };
  /** Absent: as in RECEIVE_WINDOW_BYTES. */
  readonly receiveWindowBytes?: { readonly stream: number; readonly connection: number };
}

/** Where a listener is really bound. */
export interface BoundAddress {
  readonly host: string;
  readonly port: number;
}
