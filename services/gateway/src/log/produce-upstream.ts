import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { LogService, type ProduceStreamRequest, type ProduceStreamResult } from "@tidemark/proto/log/v1";
import { type CallOptions, openRawStream, type RpcChannel, TidemarkError, withOutcome } from "@tidemark/rpc";

/** What became of a message that was sent to a leader. */
export interface UpstreamListener<Sent> {
  onResult(sent: Sent, result: ProduceStreamResult): void;
  /** The stream ended before the leader said anything of it. */
  onLost(sent: Sent, error: TidemarkError): void;
  /** There is room again after `send` said false. */
  onDrain(): void;
  /** The stream is over: nothing is to be sent on it any more. What has no answer is told as lost after this. */
  onClose(): void;
}

/** A produce stream to one leader. */
export interface ProduceUpstream<Sent> {
  /** False while too much waits to be sent: then nothing is to be sent before `onDrain`. */
  readonly hasRoom: boolean;
  /** False once the stream is over: what is sent then is told as lost. */
  readonly isOpen: boolean;
  /** `as` is handed back with the answer. The message's sequence is replaced by one of this stream. */
  send(request: Omit<ProduceStreamRequest, "$typeName" | "$unknown" | "sequence">, as: Sent): void;
  /** What waits for its answer. */
  readonly unanswered: Iterable<Sent>;
  /** Nobody waits for the answers of these any more: they are told as lost. What has its answer is let be. */
  leave(left: ReadonlySet<Sent>, error: TidemarkError): void;
  /** Nothing more will be sent. */
  end(): void;
  /** The producer is gone. */
  cancel(error: TidemarkError): void;
}

export function openProduceUpstream<Sent>(
  channel: RpcChannel,
  options: CallOptions,
  listener: UpstreamListener<Sent>,
): ProduceUpstream<Sent> {
  const unanswered = new Map<bigint, Sent>();
  let nextSequence = 0n;
  let hasRoom = true;
  let closedBy: TidemarkError | undefined;

  const stream = openRawStream(
    channel,
    LogService.method.produceStream,
    () => ({
      onMessage({ results }) {
        for (const result of results) {
          const sent = unanswered.get(result.sequence);
          if (sent === undefined) continue;
          unanswered.delete(result.sequence);
          listener.onResult(sent, result);
        }
      },
      onDrain() {
        hasRoom = true;
        listener.onDrain();
      },
      onClose(cause) {
        closedBy = lost(cause, channel.endpoint);
        listener.onClose();
        const open = [...unanswered.values()];
        unanswered.clear();
        for (const sent of open) listener.onLost(sent, closedBy);
      },
    }),
    options,
  );
  return {
    get hasRoom() {
      return hasRoom;
    },
    get isOpen() {
      return closedBy === undefined;
    },
    send(request, as) {
      if (closedBy !== undefined) {
        listener.onLost(as, closedBy);
        return;
      }
      const sequence = nextSequence++;
      unanswered.set(sequence, as);
      hasRoom = stream.write({ ...request, sequence });
    },
    get unanswered() {
      return unanswered.values();
    },
    leave(left, error) {
      const lost = [...unanswered].filter(([, sent]) => left.has(sent));
      for (const [sequence] of lost) unanswered.delete(sequence);
      for (const [, sent] of lost) listener.onLost(sent, error);
    },
    end: () => stream.end(),
    cancel: (error) => stream.end(error),
  };
}

/**
 * What the end of a stream means for messages without an answer. Only where there never was a connection they were
 * certainly not applied: a broker that ends a stream for whatever reason may have appended before.
 */
function lost(cause: TidemarkError | undefined, endpoint: string): TidemarkError {
  if (cause?.reason === Reason.UNAVAILABLE && cause.outcome === Outcome.NOT_APPLIED) return cause;
  if (cause !== undefined) return withOutcome(cause, Outcome.UNKNOWN);
  return new TidemarkError({
    reason: Reason.UNAVAILABLE,
    message: `The broker at ${endpoint} ended the stream without an answer to this message.`,
    outcome: Outcome.UNKNOWN,
  });
}
