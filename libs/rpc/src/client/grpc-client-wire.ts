import { CallCredentials, type Channel, Metadata, type StatusObject, status } from "@grpc/grpc-js";
import type { Bag } from "@tidemark/runtime";
import type { ClientWire, ClientWireOptions } from "./client-wire.ts";

/**
 * A call on grpc-js's own lowest layer. Its stubs put a Node stream of 16 messages in front of each direction, take a
 * stack trace a call, and keep deadlines by timers that run before the answer that has arrived is read.
 *
 * The wire is in `running` from its start to its end.
 */
export function createGrpcClientWire(
  channel: Channel,
  options: ClientWireOptions,
  running: Bag<ClientWire>,
): ClientWire {
  const call = channel.createCall(options.path, Number.POSITIVE_INFINITY, null, null, null);
  call.setCredentials(
    new SendHook(() => {
      wire.requestSent = true;
      const headers = new Metadata();
      const remainingMs = options.remainingMs();
      if (remainingMs !== Number.POSITIVE_INFINITY) headers.set("grpc-timeout", grpcTimeout(remainingMs));
      return headers;
    }),
  );
  const wire: ClientWire & { requestSent: boolean } = {
    requestSent: false,
    start(headers, listener) {
      const leave = running.add(wire);
      headers.setOptions({ waitForReady: options.waitForReady });
      call.start(headers, {
        onReceiveMetadata: () => undefined,
        onReceiveMessage: (bytes: Buffer) => listener.onMessage(bytes),
        onReceiveStatus: (ended: StatusObject) => {
          leave();
          listener.onStatus(ended);
        },
      });
    },
    sendMessage: (bytes, onFlushed) => call.sendMessageWithContext({ callback: () => onFlushed() }, bytes as Buffer),
    halfClose: () => call.halfClose(),
    startRead: () => call.startRead(),
    cancel: (text) => call.cancelWithStatus(status.CANCELLED, text),
  };
  return wire;
}

/** The header of the gRPC protocol: at most eight digits and a unit. Never 0, which some servers refuse. */
function grpcTimeout(milliseconds: number): string {
  const whole = Math.max(1, Math.ceil(milliseconds));
  return whole <= 99_999_999 ? `${whole}m` : `${Math.ceil(whole / 1000)}S`;
}

/** grpc-js asks for a call's credentials when it has a connection and is about to open the stream: no other sign tells. */
class SendHook extends CallCredentials {
  readonly #onSend: () => Metadata;

  constructor(onSend: () => Metadata) {
    super();
    this.#onSend = onSend;
  }

  override generateMetadata(): Promise<Metadata> {
    return Promise.resolve(this.#onSend());
  }

  /** Our channels have no credentials of their own to add. */
  override compose(): CallCredentials {
    return this;
  }

  override _equals(other: CallCredentials): boolean {
    return this === other;
  }
}
