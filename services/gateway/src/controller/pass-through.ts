/** Services of the controller as a gateway offers them: every call goes on to the active controller, errors come back. */
import type {
  DescMessage,
  DescMethod,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageShape,
} from "@bufbuild/protobuf";
import type { ActiveController } from "@tidemark/controller-link";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import {
  type CallContext,
  createRpcClient,
  type RpcChannel,
  reasonName,
  TidemarkError,
  withOutcome,
} from "@tidemark/rpc";
import { abortWith, type Runtime } from "@tidemark/runtime";
import { asCallerSees, passOn } from "../log/context.ts";

export interface PassThroughOptions<Desc extends DescService> {
  readonly controller: ActiveController;
  readonly runtime: Runtime;
  /** Methods that change nothing: they are asked again where it is not known whether they were carried out. */
  readonly reads: readonly (keyof Desc["method"])[];
}

/** What the controller says, call by call. */
export type PassedService<Desc extends DescService> = {
  readonly [Name in keyof Desc["method"]]: PassedMethod<Desc["method"][Name]>;
};

type PassedMethod<Method extends DescMethod> =
  Method extends DescMethodUnary<infer In, infer Out>
    ? (request: MessageShape<In>, call: CallContext) => Promise<MessageShape<Out>>
    : Method extends DescMethodServerStreaming<infer In, infer Out>
      ? (request: MessageShape<In>, call: CallContext) => AsyncIterable<MessageShape<Out>>
      : never;

type AnyMessage = MessageShape<DescMessage>;
type UnaryCall = (request: AnyMessage, options: object) => Promise<AnyMessage>;
type StreamCall = (request: AnyMessage, options: object) => AsyncIterable<AnyMessage>;
type Methods = Readonly<Record<string, unknown>>;

/** How long the active controller is looked for before a call fails, in milliseconds. */
const patienceMs = 5000;

/**
 * A service whose every method is answered by the active controller. Where a call finds another one, it goes on for a
 * while and then fails with REASON_NOT_CONTROLLER; a change that may have been made is never sent again (P12).
 */
export function passThrough<Desc extends DescService>(
  service: Desc,
  options: PassThroughOptions<Desc>,
): PassedService<Desc> {
  const clients = new WeakMap<RpcChannel, Methods>();
  const clientOf = (channel: RpcChannel): Methods => {
    const client = clients.get(channel) ?? createRpcClient(service, channel);
    clients.set(channel, client);
    return client;
  };
  const methods = service.methods.map((method) => {
    switch (method.methodKind) {
      case "unary":
        return [method.localName, passUnary(method.localName, clientOf, options)];
      case "server_streaming":
        return [method.localName, passStream(method.localName, clientOf, options)];
      case "client_streaming":
      case "bidi_streaming":
        throw new Error(`${service.typeName}/${method.name} streams to the controller and cannot be passed on`);
    }
  });
  return Object.fromEntries(methods) as PassedService<Desc>;
}

function passUnary<Desc extends DescService>(
  localName: string,
  clientOf: (channel: RpcChannel) => Methods,
  { controller, reads }: PassThroughOptions<Desc>,
) {
  const isRead = reads.includes(localName);
  return async (request: AnyMessage, call: CallContext): Promise<AnyMessage> => {
    let last: TidemarkError | undefined;
    const attempt = async (channel: RpcChannel, signal: AbortSignal) => {
      try {
        return await (clientOf(channel)[localName] as UnaryCall)(request, { ...passOn(call), signal });
      } catch (error) {
        const isGivenUp = signal.aborted && !call.signal.aborted;
        // What changes nothing was certainly not applied.
        if (isRead && error instanceof TidemarkError && (isElsewhere(error) || isGivenUp)) {
          last = withOutcome(error, Outcome.NOT_APPLIED);
          throw last;
        }
        if (error instanceof TidemarkError) last = error;
        throw error;
      }
    };
    try {
      const { signal } = call;
      return await controller.call(attempt, { signal, trafficClass: "admin", isRepeatable: false, patienceMs });
    } catch (error) {
      // Time ran out between two tries: what the last one found says more than that.
      const found = call.signal.aborted && last?.outcome === Outcome.NOT_APPLIED ? last : error;
      if (found instanceof TidemarkError && isElsewhere(found)) throw noController(found, controller);
      throw asCallerSees(found, call);
    }
  };
}

function passStream<Desc extends DescService>(
  localName: string,
  clientOf: (channel: RpcChannel) => Methods,
  { controller, runtime }: PassThroughOptions<Desc>,
) {
  return async function* (request: AnyMessage, call: CallContext): AsyncIterable<AnyMessage> {
    const until = runtime.clock.monotonicMs() + patienceMs;
    for (let failures = 0; ; failures++) {
      let hasBegun = false;
      const over = new AbortController();
      const unbind = abortWith(over, call.signal);
      const { endpoint, superseded } = controller;
      const leave = () => {
        // What has begun goes on: a controller that was deposed, and is not frozen, still has what it streams.
        if (!hasBegun) over.abort();
      };
      superseded.addEventListener("abort", leave, { once: true });
      const { signal } = over;
      try {
        const client = clientOf(controller.channel("admin"));
        for await (const message of (client[localName] as StreamCall)(request, { ...passOn(call), signal })) {
          hasBegun = true;
          yield message;
        }
        return;
      } catch (error) {
        if (!(error instanceof TidemarkError)) throw error;
        controller.learnFrom(error, endpoint);
        const isLeft = signal.aborted && !call.signal.aborted;
        if (hasBegun || !(isElsewhere(error) || isLeft)) throw error;
        if (runtime.clock.monotonicMs() > until) throw noController(error, controller);
      } finally {
        superseded.removeEventListener("abort", leave);
        unbind();
      }
      await controller.pause(failures, call.signal);
    }
  };
}

/** The controller that was asked is not the active one, or not there. */
function isElsewhere({ reason }: TidemarkError): boolean {
  return reason === Reason.NOT_CONTROLLER || reason === Reason.UNAVAILABLE || reason === Reason.SHUTTING_DOWN;
}

/** What a call fails with that found no active controller. Where it may have been carried out, that is said as it was. */
function noController(found: TidemarkError, { endpoint }: ActiveController): TidemarkError {
  if (found.outcome !== Outcome.NOT_APPLIED) return found;
  return new TidemarkError({
    reason: Reason.NOT_CONTROLLER,
    message:
      `No active controller was found; ${endpoint} was asked last (${reasonName(found.reason)}). ` +
      "Nothing was changed. Producing and fetching go on without one; retry when a controller is back.",
    outcome: Outcome.NOT_APPLIED,
    cause: found,
  });
}
