import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { TidemarkError } from "../errors/tidemark-error.ts";
import { createDrainGate } from "../wire/drain-gate.ts";
import { createMessageQueue } from "../wire/message-queue.ts";
import type { RawStream } from "../wire/raw-stream.ts";
import type { CallOptions } from "./call-options.ts";
import { startClientCall } from "./client-call.ts";
import type { MethodBinding } from "./method-binding.ts";
import type { RpcChannel } from "./rpc-channel.ts";

type AnyMessage = MessageShape<DescMessage>;
type AnyInit = MessageInitShape<DescMessage>;

export function callUnary(
  channel: RpcChannel,
  binding: MethodBinding,
  request: AnyInit,
  options: CallOptions = {},
): Promise<AnyMessage> {
  return collectOne(channel, binding, options, (stream) => {
    stream.write(request);
    stream.end();
  });
}

export function callClientStream(
  channel: RpcChannel,
  binding: MethodBinding,
  requests: AsyncIterable<AnyInit>,
  options: CallOptions = {},
): Promise<AnyMessage> {
  const pump = createRequestPump(requests);
  return collectOne(channel, binding, options, pump.run, pump);
}

export function callServerStream(
  channel: RpcChannel,
  binding: MethodBinding,
  request: AnyInit,
  options: CallOptions = {},
): AsyncIterable<AnyMessage> {
  return collectMany(channel, binding, options, (stream) => {
    stream.write(request);
    stream.end();
  });
}

export function callBidi(
  channel: RpcChannel,
  binding: MethodBinding,
  requests: AsyncIterable<AnyInit>,
  options: CallOptions = {},
): AsyncIterable<AnyMessage> {
  const pump = createRequestPump(requests);
  return collectMany(channel, binding, options, pump.run, pump);
}

interface WriteSide {
  onDrain(): void;
  onClose(): void;
}

/** Calls and waits for exactly one answer. */
function collectOne(
  channel: RpcChannel,
  binding: MethodBinding,
  options: CallOptions,
  send: (stream: RawStream<AnyInit>) => void,
  writeSide?: WriteSide,
): Promise<AnyMessage> {
  return new Promise((resolve, reject) => {
    let answer: AnyMessage | undefined;
    const stream = startClientCall(channel, binding, options, () => ({
      onMessage(message) {
        answer = message;
      },
      onDrain: () => writeSide?.onDrain(),
      onClose(error) {
        writeSide?.onClose();
        if (error !== undefined) reject(error);
        else if (answer === undefined) reject(noAnswer(binding));
        else resolve(answer);
      },
    }));
    send(stream);
  });
}

/** Calls when the first answer is asked for. */
function collectMany(
  channel: RpcChannel,
  binding: MethodBinding,
  options: CallOptions,
  send: (stream: RawStream<AnyInit>) => void,
  writeSide?: WriteSide,
): AsyncIterable<AnyMessage> {
  const start = () => {
    const answers = createMessageQueue<AnyMessage>({
      pause: () => call.pause(),
      resume: () => call.resume(),
      abandon: () => call.end(leftEarly(binding)),
    });
    const call = startClientCall(channel, binding, options, () => ({
      onMessage: answers.push,
      onDrain: () => writeSide?.onDrain(),
      onClose(error) {
        writeSide?.onClose();
        answers.end(error);
      },
    }));
    send(call);
    return answers[Symbol.asyncIterator]();
  };
  return { [Symbol.asyncIterator]: start };
}

/** Writes what an iterable yields, no faster than it leaves. What it throws ends the call. */
function createRequestPump(requests: AsyncIterable<AnyInit>) {
  const gate = createDrainGate();
  const write = async (stream: RawStream<AnyInit>) => {
    for await (const request of requests) {
      if (!stream.write(request)) await gate.pass();
      if (gate.removed()) return;
    }
    stream.end();
  };
  return {
    onDrain: gate.open,
    onClose: gate.remove,
    run: (stream: RawStream<AnyInit>) => {
      write(stream).catch((thrown: unknown) => stream.end(requestsFailed(thrown)));
    },
  };
}

function noAnswer({ method }: MethodBinding): TidemarkError {
  return new TidemarkError({ reason: Reason.INTERNAL, message: `${method.name} ended well but without an answer.` });
}

function leftEarly({ method }: MethodBinding): TidemarkError {
  const message = `The reader of ${method.name} left before the end.`;
  return new TidemarkError({ reason: Reason.CANCELLED, message });
}

function requestsFailed(cause: unknown): TidemarkError {
  if (cause instanceof TidemarkError) return cause;
  const message = "The requests of the call could not be made.";
  return new TidemarkError({ reason: Reason.CANCELLED, message, outcome: Outcome.UNKNOWN, cause });
}
