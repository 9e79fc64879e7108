export { type CallOptions } from "./client/call-options.ts";
export { type ChannelPool, type ChannelPoolOptions, createChannelPool } from "./client/channel-pool.ts";
export type { ClientWire, ClientWireListener, ClientWireOptions } from "./client/client-wire.ts";
export { createChannel } from "./client/grpc-channel.ts";
export type { ChannelOptions, ChannelState, ClientTls, RpcChannel, TrafficClass } from "./client/rpc-channel.ts";
export { createRpcClient, type MethodCall, openRawStream, type RpcClient } from "./client/rpc-client.ts";
export { waitForChannel } from "./client/wait-for-channel.ts";
export {
  batchTooLarge,
  corruptBatch,
  invalidArgument,
  invalidRecord,
  type Place,
  unavailableCodec,
  unknownCodec,
  unknownPartition,
  unknownTopic,
  unknownTopicId,
} from "./errors/data-errors.ts";

export { fromErrorDetail, reasonName, toErrorDetail } from "./errors/error-detail.ts";
export {
  ERROR_DOMAIN,
  fromGrpcStatus,
  type GrpcStatus,
  STATUS_DETAILS_KEY,
  toGrpcStatus,
} from "./errors/grpc-status.ts";
export { messageTooLarge, tooManyElements } from "./errors/limit-errors.ts";
export { type ReasonTraits, traitsOf } from "./errors/reason-table.ts";
export { renderErrorTable } from "./errors/render-error-table.ts";
export { type ErrorFields, TidemarkError, type TidemarkErrorInit, withOutcome } from "./errors/tidemark-error.ts";
export { type DefectHook, INTERNAL_TEXT, toTidemarkError } from "./errors/to-error.ts";
export { createReflection, type Reflection } from "./reflection/reflection.ts";
export type { CallContext, PeerIdentity } from "./server/call-context.ts";
export type { ConnectionRefusal } from "./server/connection-gate.ts";
export type { Dispatch } from "./server/grpc-wire.ts";
export { createHealth, type HealthState } from "./server/health.ts";
export type { BoundAddress, ListenerOptions, ServerTls } from "./server/listener-options.ts";
export type { ListenerContext, RpcListener } from "./server/rpc-listener.ts";
export { createRpcServer, type RpcServer, type RpcServerHooks, type RpcServerOptions } from "./server/rpc-server.ts";
export { type MethodRule, type ServedService, type ServeOptions, serve } from "./server/served-service.ts";
export type { ServerWire, ServerWireListener } from "./server/server-wire.ts";
export type {
  BidiStreamImpl,
  ClientStreamImpl,
  MethodImpl,
  RawImpl,
  RawServiceImpl,
  ServerStreamImpl,
  ServiceImpl,
  UnaryImpl,
} from "./server/service-impl.ts";
export { createUnansweredMessages, type UnansweredMessages } from "./server/unanswered-messages.ts";
export { lookForUnknownEnums } from "./server/unknown-enums.ts";
export type { CreateWebHandler, WebHandler, WebListener, WebRequest, WebResponse } from "./server/web-edge.ts";
export { certificatesProblem, keyFits, keyProblem, type PemProblem } from "./tls/pem.ts";
export { grpcTransport } from "./transport/grpc-transport.ts";
export type { Probe, ProbeResult, Transport } from "./transport/transport.ts";
export {
  type ConnectionLimits,
  createProcessBudget,
  DEFAULT_CONNECTION_LIMITS,
  DEFAULT_DEADLINE,
  DEFAULT_KEEPALIVE,
  type DeadlineRule,
  type Keepalive,
  MESSAGE_LIMIT_BYTES,
  QUEUE_HIGH_WATER_BYTES,
  QUEUE_LIMIT_BYTES,
  RECEIVE_WINDOW_BYTES,
  RECONNECT_BACKOFF_MS,
  STREAM_DEADLINE,
  STREAMS_PER_CONNECTION,
} from "./wire/budgets.ts";
export { type ByteBudget, createByteBudget } from "./wire/byte-budget.ts";
export { type CallMetadata, type MetadataInit, toMetadata } from "./wire/call-metadata.ts";
export type { CallEnd, CallObserver, ObservedCall } from "./wire/call-observer.ts";
export { countElements } from "./wire/element-count.ts";
export type { RawListener, RawStream } from "./wire/raw-stream.ts";
export { flatten, type WireBytes } from "./wire/wire-bytes.ts";
