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
import type { CallOptions } from "./call-options.ts";
import { startClientCall } from "./client-call.ts";
import { callBidi, callClientStream, callServerStream, callUnary } from "./iterable-calls.ts";
import { bindMethod } from "./method-binding.ts";
import type { RpcChannel } from "./rpc-channel.ts";

/** The methods of a service as functions. Each fails with a TidemarkError, and with nothing else. */
export type RpcClient<Desc extends DescService> = {
  readonly [Name in keyof Desc["method"]]: MethodCall<Desc["method"][Name]>;
};

export type MethodCall<Method extends DescMethod> =
  Method extends DescMethodUnary<infer In, infer Out>
    ? (request: MessageInitShape<In>, options?: CallOptions) => Promise<MessageShape<Out>>
    : Method extends DescMethodServerStreaming<infer In, infer Out>
      ? (request: MessageInitShape<In>, options?: CallOptions) => AsyncIterable<MessageShape<Out>>
      : Method extends DescMethodClientStreaming<infer In, infer Out>
        ? (requests: AsyncIterable<MessageInitShape<In>>, options?: CallOptions) => Promise<MessageShape<Out>>
        : Method extends DescMethodBiDiStreaming<infer In, infer Out>
          ? (requests: AsyncIterable<MessageInitShape<In>>, options?: CallOptions) => AsyncIterable<MessageShape<Out>>
          : never;

/**
 * Calls of a service over a channel. A stream's call begins when its iterable is first asked for a message; leaving the
 * iterable early cancels the call.
 */
export function createRpcClient<Desc extends DescService>(service: Desc, channel: RpcChannel): RpcClient<Desc> {
  const methods = service.methods.map((method) => [method.localName, callOf(method, channel)]);
  return Object.fromEntries(methods) as RpcClient<Desc>;
}

function callOf(method: DescMethod, channel: RpcChannel): unknown {
  const binding = bindMethod(method);
  switch (method.methodKind) {
    case "unary":
      return (request: AnyInit, options?: CallOptions) => callUnary(channel, binding, request, options);
    case "server_streaming":
      return (request: AnyInit, options?: CallOptions) => callServerStream(channel, binding, request, options);
    case "client_streaming":
      return (requests: AsyncIterable<AnyInit>, options?: CallOptions) =>
        callClientStream(channel, binding, requests, options);
    case "bidi_streaming":
      return (requests: AsyncIterable<AnyInit>, options?: CallOptions) => callBidi(channel, binding, requests, options);
  }
}

type AnyInit = MessageInitShape<DescMessage>;

/**
 * Opens a call in the raw form: no promise a message. `createListener` is called before anything can arrive. For calls
 * that take one request, write it and call `end`.
 */
export function openRawStream<In extends DescMessage, Out extends DescMessage>(
  channel: RpcChannel,
  method: DescMethod & { readonly input: In; readonly output: Out },
  createListener: (stream: RawStream<MessageInitShape<In>>) => RawListener<MessageShape<Out>>,
  options: CallOptions = {},
): RawStream<MessageInitShape<In>> {
  return startClientCall(channel, bindMethod(method), options, createListener);
}
