import type {
  DescMessage,
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodClientStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { RawListener, RawStream } from "../wire/raw-stream.ts";
import type { CallContext } from "./call-context.ts";

/**
 * What a service does, one function a method, in the shape that @connectrpc/connect uses too: the same object is
 * mounted on gRPC servers and on the gateway's edge. A handler fails by throwing a TidemarkError.
 */
export type ServiceImpl<Desc extends DescService> = {
  [Name in keyof Desc["method"]]: MethodImpl<Desc["method"][Name]>;
};

export type MethodImpl<Method extends DescMethod> =
  Method extends DescMethodUnary<infer In, infer Out>
    ? UnaryImpl<In, Out>
    : Method extends DescMethodServerStreaming<infer In, infer Out>
      ? ServerStreamImpl<In, Out>
      : Method extends DescMethodClientStreaming<infer In, infer Out>
        ? ClientStreamImpl<In, Out>
        : Method extends DescMethodBiDiStreaming<infer In, infer Out>
          ? BidiStreamImpl<In, Out>
          : never;

export type UnaryImpl<In extends DescMessage, Out extends DescMessage> = (
  request: MessageShape<In>,
  context: CallContext,
) => Promise<MessageInitShape<Out>> | MessageInitShape<Out>;

/**
 * Yields the answers; the next one is asked for when the peer has taken enough. When the call is over before, the
 * context's signal is aborted and the iterator's `return` is called.
 */
export type ServerStreamImpl<In extends DescMessage, Out extends DescMessage> = (
  request: MessageShape<In>,
  context: CallContext,
) => AsyncIterable<MessageInitShape<Out>>;

export type ClientStreamImpl<In extends DescMessage, Out extends DescMessage> = (
  requests: AsyncIterable<MessageShape<In>>,
  context: CallContext,
) => Promise<MessageInitShape<Out>>;

export type BidiStreamImpl<In extends DescMessage, Out extends DescMessage> = (
  requests: AsyncIterable<MessageShape<In>>,
  context: CallContext,
) => AsyncIterable<MessageInitShape<Out>>;

/**
 * A method's handler without iterables and promises, for hot streams. Called when the call begins; what it returns is
 * told what comes. Messages are written with `stream`.
 */
export type RawImpl<In extends DescMessage, Out extends DescMessage> = (
  stream: RawStream<MessageInitShape<Out>>,
  context: CallContext,
) => RawListener<MessageShape<In>>;

/** Raw handlers of a service, by method, in place of those of a ServiceImpl. */
export type RawServiceImpl<Desc extends DescService> = {
  [Name in keyof Desc["method"]]?: RawImpl<Desc["method"][Name]["input"], Desc["method"][Name]["output"]>;
};
