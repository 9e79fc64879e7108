/**
 * A call that came by Connect or gRPC-Web, handed to the same dispatcher that gRPC calls go to: one set of handlers,
 * deadlines, budgets and rules for stopping, whatever the protocol.
 */
import { type DescMessage, type DescMethod, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import {
  flatten,
  fromGrpcStatus,
  type GrpcStatus,
  type MetadataInit,
  messageTooLarge,
  type ServerWire,
  type ServerWireListener,
  STATUS_DETAILS_KEY,
  TidemarkError,
  toMetadata,
  type WebListener,
  type WireBytes,
} from "@tidemark/rpc";
import { createDeferred } from "@tidemark/runtime";
import { toConnectError } from "./connect-error.ts";
import type { WebPeer } from "./web-peer.ts";

type AnyMessage = MessageShape<DescMessage>;

/** What an edge needs to hand a call on. */
export interface ConnectCall {
  readonly listener: WebListener;
  readonly method: DescMethod;
  readonly requests: AsyncIterable<AnyMessage>;
  readonly context: HandlerContext;
  readonly peer: WebPeer;
}

interface Outgoing {
  readonly bytes: WireBytes;
  readonly onFlushed: () => void;
}

/** The answers of a call. Ends with a ConnectError where the call fails; leaving early cancels the call. */
export async function* runConnectCall(call: ConnectCall): AsyncGenerator<AnyMessage, void, undefined> {
  const { method, context } = call;
  const outbox: Outgoing[] = [];
  let end: { readonly error: ConnectError | undefined } | undefined;
  let news = createDeferred();
  const finish = (error: ConnectError | undefined) => {
    end ??= { error };
    news.resolve();
  };
  const { wire, close } = createWire(call, {
    onMessage(message) {
      outbox.push(message);
      news.resolve();
    },
    onStatus: (status) => finish(readStatus(status, context)),
    onBroken: (thrown) => finish(ConnectError.from(thrown, Code.Canceled)),
  });
  const onAbort = () => {
    close();
    const cause = ConnectError.from(context.signal.reason, Code.Canceled);
    finish(cause.code === Code.DeadlineExceeded ? toConnectError(deadlinePassed()) : cause);
  };
  context.signal.addEventListener("abort", onAbort, { once: true });
  call.listener.dispatch(`/${method.parent.typeName}/${method.name}`, wire);
  try {
    for (;;) {
      const next = outbox.shift();
      if (next !== undefined) {
        yield fromBinary(method.output, flatten(next.bytes));
        // Asked for more: what was yielded has been taken by the connection.
        next.onFlushed();
      } else if (end !== undefined) {
        if (end.error !== undefined) throw end.error;
        return;
      } else {
        await news.promise;
        news = createDeferred();
      }
    }
  } finally {
    context.signal.removeEventListener("abort", onAbort);
    close();
  }
}

/** The edge's own timer was first: what the call did by then is not known (P12). */
export function deadlinePassed(): TidemarkError {
  return new TidemarkError({
    reason: Reason.DEADLINE_EXCEEDED,
    message: "The deadline passed before the call was answered: whether it took effect is not known",
    outcome: Outcome.UNKNOWN,
  });
}

interface WireEvents {
  readonly onMessage: (message: Outgoing) => void;
  readonly onStatus: (status: GrpcStatus) => void;
  /** The request could not be read to its end. */
  readonly onBroken: (thrown: unknown) => void;
}

/** `close` tells the handler that the call is over: its caller is gone, or has taken the answer. A second call does nothing. */
function createWire(call: ConnectCall, events: WireEvents): { readonly wire: ServerWire; readonly close: () => void } {
  const { method, context, listener, peer } = call;
  const requests = call.requests[Symbol.asyncIterator]();
  let handler: ServerWireListener | undefined;
  let isOver = false;
  let isClosed = false;

  const close = (cause?: TidemarkError) => {
    isOver = true;
    if (isClosed) return;
    isClosed = true;
    handler?.onClose(cause);
  };
  const read = async () => {
    try {
      const next = await requests.next();
      if (isOver) return;
      if (next.done === true) handler?.onHalfClose();
      else handler?.onMessage(toBinary(method.input, next.value));
    } catch (thrown) {
      const error = unreadable(thrown, listener.messageLimitBytes);
      close(error);
      events.onBroken(toConnectError(error));
    }
  };
  const wire: ServerWire = {
    metadata: toMetadata(headersOf(context.requestHeader)),
    peer: peer.address,
    identity: () => peer.identity,
    listener: listener.name,
    timeoutMs: context.timeoutMs() ?? Number.POSITIVE_INFINITY,
    connectionBudget: listener.connectionBudget(peer),
    start(started) {
      handler = started;
    },
    startRead() {
      read().catch(events.onBroken);
    },
    sendMessage(bytes, onFlushed) {
      if (!isOver) events.onMessage({ bytes, onFlushed });
    },
    sendStatus(status) {
      if (isOver) return;
      isOver = true;
      events.onStatus(status);
    },
  };
  return { wire, close };
}

function readStatus(status: GrpcStatus, context: HandlerContext): ConnectError | undefined {
  for (const [key, value] of Object.entries(status.metadata.getMap())) {
    if (key !== STATUS_DETAILS_KEY && typeof value === "string") context.responseTrailer.set(key, value);
  }
  const code: number = status.code;
  return code === 0 ? undefined : toConnectError(fromGrpcStatus(status));
}

/** The headers that are legal as gRPC metadata. */
function headersOf(headers: Headers): MetadataInit {
  const legal: Record<string, string> = {};
  for (const [key, value] of headers) {
    if (/^[0-9a-z_.-]+$/.test(key) && !key.endsWith("-bin") && /^[\x20-\x7e]*$/.test(value)) legal[key] = value;
  }
  return legal;
}

function unreadable(thrown: unknown, messageLimitBytes: number): TidemarkError {
  if (thrown instanceof ConnectError && thrown.cause instanceof TidemarkError) {
    const { reason, message } = thrown.cause;
    return new TidemarkError({ reason, message, outcome: Outcome.UNKNOWN });
  }
  if (thrown instanceof ConnectError && thrown.code === Code.ResourceExhausted) {
    return messageTooLarge(messageLimitBytes, undefined, Outcome.UNKNOWN);
  }
  const why = thrown instanceof ConnectError ? thrown.rawMessage : "its body broke off";
  return new TidemarkError({
    reason: Reason.INVALID_ARGUMENT,
    message: `The request cannot be read: ${why}`,
    outcome: Outcome.UNKNOWN,
  });
}
