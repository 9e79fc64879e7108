import type { DescMethod } from "@bufbuild/protobuf";
import type { TidemarkError } from "../errors/tidemark-error.ts";
import type { CallMetadata } from "../wire/call-metadata.ts";

/** What a handler knows of the call besides its request. */
export interface CallContext {
  readonly method: DescMethod;
  /**
   * Aborted when the caller cancelled or vanished, a little before the deadline (so that an answer still arrives), and
   * when the server stops. Its reason is the TidemarkError that the call ends with unless the handler ends it before.
   */
  readonly signal: AbortSignal;
  /** Milliseconds until `signal` is aborted for the deadline: what to pass on. Undefined when there is no deadline. */
  timeoutMs(): number | undefined;
  /** The caller's headers. */
  readonly metadata: CallMetadata;
  /** W3C trace context as received, unchecked. */
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
  /** host:port of the caller. */
  readonly peer: string;
  /** Who the caller proved to be. Undefined without mutual TLS. */
  readonly identity: PeerIdentity | undefined;
  /** Name of the listener that took the call: `client` or `internal`. */
  readonly listener: string;
  /** Sends a trailer with the status. Keys are lower case; a binary value needs a key that ends in `-bin`. */
  setTrailer(key: string, value: string | Uint8Array): void;
}

/** What a client's certificate says, after it was checked against the listener's authorities. */
export interface PeerIdentity {
  /** Common name of the subject. Empty when there is none. */
  readonly commonName: string;
  /** As written in the certificate: `DNS:broker-1, IP Address:127.0.0.1`. Empty when there is none. */
  readonly subjectAltName: string;
}

/** An AbortController that is made when somebody first asks for its signal. */
export interface LazyAbort {
  signal(): AbortSignal;
  reason(): TidemarkError | undefined;
  /** The first call counts. */
  readonly abort: (reason: TidemarkError) => void;
}

export function createLazyAbort(): LazyAbort {
  let controller: AbortController | undefined;
  let reason: TidemarkError | undefined;
  return {
    signal() {
      if (controller === undefined) {
        controller = new AbortController();
        if (reason !== undefined) controller.abort(reason);
      }
      return controller.signal;
    },
    reason: () => reason,
    abort(cause) {
      if (reason !== undefined) return;
      reason = cause;
      controller?.abort(cause);
    },
  };
}
