import {
  Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  status,
} from "@grpc/grpc-js";
import { Reason } from "@tidemark/proto/common/v1";
import type { Clock } from "@tidemark/runtime";
import { fromGrpcStatus, STATUS_DETAILS_KEY, toGrpcStatus } from "../errors/grpc-status.ts";
import { receivedTooLarge } from "../errors/limit-errors.ts";
import type { TidemarkError } from "../errors/tidemark-error.ts";
import type { ByteBudget } from "../wire/byte-budget.ts";
import type { PeerIdentity } from "./call-context.ts";
import type { ServerWire, ServerWireListener } from "./server-wire.ts";

/** Where incoming calls go: `path` is /package.Service/Method. */
export type Dispatch = (path: string, wire: ServerWire) => void;

export interface GrpcWireOptions {
  readonly listener: string;
  readonly clock: Clock;
  /** Largest message taken, in bytes. */
  readonly messageLimitBytes: number;
  /** Budget of the connection that a call came by, under the key that `connectionKey` makes. */
  readonly connectionBudget: (key: string) => ByteBudget;
}

/** Names a connection among those of one listener. */
export function connectionKey(address: string | undefined, port: number | undefined): string {
  return `${address ?? "unknown"}:${port ?? 0}`;
}

/**
 * Hands every call of a grpc-js server to `dispatch` instead of grpc-js's handlers. Its handlers put a Node stream of 16
 * messages in front of each direction; behind an interceptor there is one message at a time and the flush of each write.
 */
export function createDispatchInterceptor(options: GrpcWireOptions, dispatch: Dispatch): ServerInterceptor {
  return (descriptor, call) =>
    new ServerInterceptingCall(call, {
      // Never calls `next`, so the handler behind it never sees the call.
      start: () => takeOver(call, options, (wire) => dispatch(descriptor.path, wire)),
    });
}

function takeOver(
  call: ServerInterceptingCallInterface,
  options: GrpcWireOptions,
  onCall: (wire: ServerWire) => void,
): void {
  let listener: ServerWireListener | undefined;
  let delivered = false;
  const cause = explainOwnStatuses(call, options, () => delivered);
  call.start({
    onReceiveMetadata(metadata) {
      onCall(createWire(call, metadata, options, (started) => (listener = started)));
    },
    onReceiveMessage(bytes: Buffer) {
      delivered = true;
      listener?.onMessage(bytes);
    },
    onReceiveHalfClose: () => listener?.onHalfClose(),
    onCancel: () => listener?.onClose(cause()),
  });
}

function createWire(
  call: ServerInterceptingCallInterface,
  metadata: Metadata,
  options: GrpcWireOptions,
  onStart: (listener: ServerWireListener) => void,
): ServerWire {
  const { remoteAddress, remotePort } = call.getConnectionInfo();
  const deadline = call.getDeadline();
  const key = connectionKey(remoteAddress, remotePort);
  return {
    metadata,
    peer: key,
    listener: options.listener,
    timeoutMs: (typeof deadline === "number" ? deadline : deadline.getTime()) - options.clock.wallMs(),
    connectionBudget: options.connectionBudget(key),
    identity: () => identityOf(call),
    start: onStart,
    startRead: () => call.startRead(),
    sendMessage: (bytes, onFlushed) => call.sendMessage(bytes, onFlushed),
    sendStatus: (ended) => call.sendStatus(ended),
  };
}

/**
 * grpc-js ends some calls by itself: a message over the limit, a compression it does not know, the caller's deadline.
 * Those statuses get our detail too, and the call learns its end from the returned function. Without a message that was
 * `delivered` the call is without effect.
 */
function explainOwnStatuses(
  call: ServerInterceptingCallInterface,
  { messageLimitBytes }: GrpcWireOptions,
  delivered: () => boolean,
): () => TidemarkError | undefined {
  let cause: TidemarkError | undefined;
  const send = call.sendStatus.bind(call);
  call.sendStatus = (ended) => {
    const explained = ended.code === status.OK || (ended.metadata?.get(STATUS_DETAILS_KEY).length ?? 0) > 0;
    if (explained) {
      send(ended);
      return;
    }
    const { code, details } = ended;
    const foreign = fromGrpcStatus({ code, details, metadata: new Metadata() }, delivered());
    const isTooLarge = foreign.reason === Reason.MESSAGE_TOO_LARGE;
    cause = isTooLarge ? receivedTooLarge(details, messageLimitBytes, foreign.outcome) : foreign;
    send(toGrpcStatus(cause, ended.metadata ?? undefined));
  };
  return () => cause;
}

function identityOf(call: ServerInterceptingCallInterface): PeerIdentity | undefined {
  const certificate = call.getAuthContext().sslPeerCertificate;
  if (certificate === undefined) return undefined;
  const commonName: string | string[] | undefined = certificate.subject.CN;
  return {
    commonName: (Array.isArray(commonName) ? commonName[0] : commonName) ?? "",
    subjectAltName: certificate.subjectaltname ?? "",
  };
}
