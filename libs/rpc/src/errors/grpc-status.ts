import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyPack, anyUnpack } from "@bufbuild/protobuf/wkt";
import { Metadata, status } from "@grpc/grpc-js";
import { type ErrorDetail, ErrorDetailSchema, Outcome, Reason } from "@tidemark/proto/common/v1";
import { ErrorInfoSchema, RetryInfoSchema } from "@tidemark/proto/google/rpc/error_details";
import { StatusSchema } from "@tidemark/proto/google/rpc/status";
import { durationOf, fromErrorDetail, reasonName, toErrorDetail } from "./error-detail.ts";
import { TidemarkError } from "./tidemark-error.ts";

/** How a call ended, as it stands on the wire. */
export interface GrpcStatus {
  readonly code: status;
  readonly details: string;
  readonly metadata: Metadata;
}

/** The trailer that carries google.rpc.Status, as every gRPC library knows it. */
export const STATUS_DETAILS_KEY = "grpc-status-details-bin";

/** `domain` of the ErrorInfo beside our own detail. */
export const ERROR_DOMAIN = "tidemark";

/** Statuses that we send are short: what a peer accepts as headers is bounded, and a text may quote its input. */
const MESSAGE_LENGTH_MAX = 2048;

/**
 * The status of a failed call: our ErrorDetail, an ErrorInfo for tools that know only Google's, and a RetryInfo where
 * the error says how long to wait. `trailers` are sent along.
 */
export function toGrpcStatus(error: TidemarkError, trailers?: Metadata): GrpcStatus {
  const code = error.grpcStatus;
  const message = error.message.slice(0, MESSAGE_LENGTH_MAX) || reasonName(error.reason);
  const { retryAfterMs } = error.fields;
  const details = [
    anyPack(ErrorDetailSchema, toErrorDetail(error)),
    anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { reason: reasonName(error.reason), domain: ERROR_DOMAIN })),
    ...(retryAfterMs === undefined
      ? []
      : [anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay: durationOf(retryAfterMs) }))]),
  ];
  const metadata = trailers?.clone() ?? new Metadata();
  const encoded = toBinary(StatusSchema, create(StatusSchema, { code, message, details }));
  metadata.set(STATUS_DETAILS_KEY, Buffer.from(encoded));
  return { code, details: message, metadata };
}

/**
 * The error that a failed call's status stands for. A status without our detail comes from a gRPC library, a proxy or
 * another service: it gets the closest reason, and outcome UNKNOWN wherever the request may have been executed.
 * `requestSent` is false only when it is certain that no byte of the request left this process.
 */
export function fromGrpcStatus(received: GrpcStatus, requestSent = true): TidemarkError {
  const detail = readDetail(received.metadata);
  return detail === undefined
    ? fromForeignStatus(received, requestSent)
    : fromErrorDetail(detail, received.details, received.code);
}

function readDetail(metadata: Metadata): ErrorDetail | undefined {
  const [encoded] = metadata.get(STATUS_DETAILS_KEY);
  if (encoded === undefined || typeof encoded === "string") return undefined;
  try {
    for (const packed of fromBinary(StatusSchema, encoded).details) {
      const detail = anyUnpack(packed, ErrorDetailSchema);
      if (detail !== undefined) return detail;
    }
  } catch {
    // Details that do not parse are no details: the status itself still says something.
  }
  return undefined;
}

/** What grpc-js says of a stream that the server refused unprocessed (RFC 9113, 8.7). It gives no other sign. */
const REFUSED_STREAM = "Stream refused by server";

/** What grpc-js says of a message over the receiver's or the sender's limit. */
const TOO_LARGE = /larger than max|size larger than/;

/** What OpenSSL says when a server answers a TLS handshake in cleartext. */
const NOT_TLS = /wrong version number|packet length too long|wrong_version_number|packet_length_too_long/;
const NOT_TLS_TEXT =
  "The server does not speak TLS on this port. Connect without TLS (no server.tls.ca at the command line), " +
  "or name the port on which it does.";

const foreignReasons: Readonly<Partial<Record<status, Reason>>> = {
  [status.CANCELLED]: Reason.CANCELLED,
  [status.INVALID_ARGUMENT]: Reason.INVALID_ARGUMENT,
  [status.DEADLINE_EXCEEDED]: Reason.DEADLINE_EXCEEDED,
  [status.PERMISSION_DENIED]: Reason.PERMISSION_DENIED,
  [status.RESOURCE_EXHAUSTED]: Reason.RESOURCE_EXHAUSTED,
  [status.UNIMPLEMENTED]: Reason.UNSUPPORTED,
  [status.UNAVAILABLE]: Reason.UNAVAILABLE,
  [status.UNAUTHENTICATED]: Reason.UNAUTHENTICATED,
  [status.INTERNAL]: Reason.INTERNAL,
};

/** Statuses by which a server says that it did not begin. */
const refusals: ReadonlySet<status> = new Set([
  status.INVALID_ARGUMENT,
  status.PERMISSION_DENIED,
  status.UNAUTHENTICATED,
  status.UNIMPLEMENTED,
]);

function fromForeignStatus(received: GrpcStatus, requestSent: boolean): TidemarkError {
  const { code } = received;
  const details = NOT_TLS.test(received.details) ? NOT_TLS_TEXT : received.details;
  const tooLarge = code === status.RESOURCE_EXHAUSTED && TOO_LARGE.test(details);
  const reason = tooLarge ? Reason.MESSAGE_TOO_LARGE : (foreignReasons[code] ?? Reason.UNSPECIFIED);
  const notBegun = !requestSent || refusals.has(code) || details === REFUSED_STREAM;
  return new TidemarkError({
    reason,
    message: details === "" ? `The call ended with gRPC status ${status[code]} and no text.` : details,
    outcome: notBegun ? Outcome.NOT_APPLIED : Outcome.UNKNOWN,
  });
}
