import type { DescMessage, DescMethod, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "../errors/tidemark-error.ts";
import { type DefectHook, toTidemarkError } from "../errors/to-error.ts";
import { createDrainGate } from "../wire/drain-gate.ts";
import { createMessageQueue } from "../wire/message-queue.ts";
import type { RawListener, RawStream } from "../wire/raw-stream.ts";
import type { CallContext } from "./call-context.ts";
import type { MethodSpec } from "./method-spec.ts";
import { lookForUnknownEnums } from "./unknown-enums.ts";

type AnyMessage = MessageShape<DescMessage>;
type AnyInit = MessageInitShape<DescMessage>;
type AnyStream = RawStream<AnyInit>;
type RawHandler = MethodSpec["handler"];
type UnaryFunction = (request: AnyMessage, context: CallContext) => Promise<AnyInit> | AnyInit;
type ServerStreamFunction = (request: AnyMessage, context: CallContext) => AsyncIterable<AnyInit>;
type ClientStreamFunction = (requests: AsyncIterable<AnyMessage>, context: CallContext) => Promise<AnyInit>;
type BidiFunction = (requests: AsyncIterable<AnyMessage>, context: CallContext) => AsyncIterable<AnyInit>;

/** A handler of any of the four kinds as a raw one. `implementation` is a method of a ServiceImpl. */
export function toRawHandler(method: DescMethod, implementation: unknown, onDefect: DefectHook): RawHandler {
  const name = `${method.parent.typeName}/${method.name}`;
  const run = (stream: AnyStream, context: CallContext, work: () => Promise<void>) => {
    work().catch((thrown: unknown) => stream.end(errorOf(thrown, context, name, onDefect)));
  };
  const problemOf = lookForUnknownEnums(method.input);
  switch (method.methodKind) {
    case "unary": {
      const handle = implementation as UnaryFunction;
      return (stream, context) =>
        oneRequest(stream, problemOf, (request) =>
          run(stream, context, async () => answer(stream, await handle(request, context))),
        );
    }
    case "server_streaming": {
      const handle = implementation as ServerStreamFunction;
      return (stream, context) => {
        const writer = createIterableWriter(stream);
        return {
          ...oneRequest(stream, problemOf, (request) =>
            run(stream, context, () => writer.writeAll(handle(request, context))),
          ),
          onDrain: writer.onDrain,
          onClose: writer.onClose,
        };
      };
    }
    case "client_streaming": {
      const handle = implementation as ClientStreamFunction;
      return (stream, context) => {
        const requests = createMessageQueue<AnyMessage>(stream);
        run(stream, context, async () => answer(stream, await handle(requests, context)));
        return { ...fromQueue(requests), onClose: (error) => requests.end(error), onStop: leaveToSignal };
      };
    }
    case "bidi_streaming": {
      const handle = implementation as BidiFunction;
      return (stream, context) => {
        const requests = createMessageQueue<AnyMessage>(stream);
        const writer = createIterableWriter(stream);
        run(stream, context, () => writer.writeAll(handle(requests, context)));
        return {
          ...fromQueue(requests),
          onDrain: writer.onDrain,
          onStop: leaveToSignal,
          onClose(error) {
            requests.end(error);
            writer.onClose();
          },
        };
      };
    }
  }
}

/** Answers every call of a method that nobody implements. `name` is package.Service/Method. */
export function unsupportedHandler(name: string): RawHandler {
  return (stream) => {
    stream.end(unsupported(name));
    return { onMessage: () => undefined };
  };
}

export function unsupported(name: string): TidemarkError {
  return new TidemarkError({
    reason: Reason.UNSUPPORTED,
    message: `This process does not offer ${name}. List what it offers by reflection.`,
  });
}

/** Handlers of iterables and promises learn from their signal that the server stops, and end the call themselves. */
function leaveToSignal(): void {}

function answer(stream: AnyStream, response: AnyInit): void {
  stream.write(response);
  stream.end();
}

function fromQueue(requests: ReturnType<typeof createMessageQueue<AnyMessage>>) {
  return { onMessage: (message: AnyMessage) => requests.push(message), onEnd: () => requests.end() };
}

/**
 * Takes exactly one request, in which `problemOf` finds nothing, then begins. Begins when the caller has finished sending,
 * as a second one is an error.
 */
function oneRequest(
  stream: AnyStream,
  problemOf: ((request: AnyMessage) => string | undefined) | undefined,
  begin: (request: AnyMessage) => void,
): RawListener<AnyMessage> {
  let request: AnyMessage | undefined;
  return {
    onMessage(message) {
      if (request === undefined) request = message;
      else stream.end(wrongCount("more than one request message"));
    },
    onEnd() {
      if (request === undefined) {
        stream.end(wrongCount("no request message"));
        return;
      }
      const problem = problemOf?.(request);
      if (problem === undefined) begin(request);
      else stream.end(new TidemarkError({ reason: Reason.INVALID_ARGUMENT, message: problem }));
    },
    onStop: leaveToSignal,
  };
}

function wrongCount(what: string): TidemarkError {
  return new TidemarkError({
    reason: Reason.INVALID_ARGUMENT,
    message: `The call brought ${what} where it takes exactly one.`,
  });
}

/** Writes what an iterable yields, no faster than the peer takes it. */
function createIterableWriter(stream: AnyStream) {
  const gate = createDrainGate();
  let iterator: AsyncIterator<AnyInit> | undefined;
  return {
    onDrain: gate.open,
    onClose: () => {
      gate.remove();
      // A generator that waits for something else ends when that comes; its own errors have nobody left to be told.
      iterator?.return?.().catch(() => undefined);
    },
    async writeAll(iterable: AsyncIterable<AnyInit>) {
      iterator = iterable[Symbol.asyncIterator]();
      for (;;) {
        const next = await iterator.next();
        if (next.done === true || gate.removed()) break;
        if (!stream.write(next.value)) await gate.pass();
      }
      stream.end();
    },
  };
}

/** Whatever a handler throws because its signal was aborted is the signal's reason, and no defect. */
function errorOf(thrown: unknown, context: CallContext, name: string, onDefect: DefectHook): TidemarkError {
  const aborted = thrown instanceof Error && thrown.name === "AbortError" && context.signal.aborted;
  const ofThisCall: DefectHook = (defect, method) => onDefect(defect, method, context.traceparent);
  return toTidemarkError(aborted ? context.signal.reason : thrown, name, ofThisCall);
}
