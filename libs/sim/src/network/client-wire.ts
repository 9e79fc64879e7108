import { Metadata, status } from "@grpc/grpc-js";
import type { ClientWire, ClientWireListener, ClientWireOptions, GrpcStatus, WireBytes } from "@tidemark/rpc";
import type { SimProcess } from "../engine/sim-process.ts";
import { createInFlow, createOutFlow, type OutFlow } from "./flow.ts";
import type { NetworkWatch, PeerQueue } from "./network-watch.ts";
import type { Session, SessionStream } from "./session.ts";

/** A call that waits for a connection, or runs on one. */
export interface SimClientWire extends ClientWire {
  readonly waitsForReady: boolean;
  /** Takes it out of the calls that run on its channel. */
  leave: () => void;
  /** Begins on a session that is ready. */
  open(session: Session): void;
  /** Ends it with a status of this side. */
  fail(code: status, details: string): void;
}

/** Where a call begins, and who looks on. */
export interface CallPlace {
  readonly process: SimProcess;
  readonly watch: NetworkWatch;
  /** Of its channel. */
  readonly queue: PeerQueue;
}

/** `onOver` is called once, when the call has ended. */
export function createClientWire(
  { process, watch, queue }: CallPlace,
  options: ClientWireOptions,
  on: { start(wire: SimClientWire): void; over(wire: SimClientWire): void },
): SimClientWire {
  let listener: ClientWireListener | undefined;
  let headers = new Metadata();
  let stream: SessionStream | undefined;
  let outbound: OutFlow | undefined;
  let early: { readonly bytes: WireBytes; readonly onFlushed: () => void } | undefined;
  let isHalfClosed = false;
  let isOver = false;
  let received: GrpcStatus | undefined;
  const look = watch.onCall(process, options.path);

  const end = (ended: GrpcStatus) => {
    if (isOver) return;
    isOver = true;
    outbound?.stop();
    stream?.end();
    on.over(wire);
    listener?.onStatus(ended);
  };
  /** A status of the server comes behind its messages, but an error at once. */
  const settle = () => {
    if (received !== undefined && (received.code !== status.OK || inbound.isEmpty())) end(received);
  };
  const inbound = createInFlow({
    onMessage(bytes) {
      if (isOver) return;
      look?.(bytes);
      listener?.onMessage(bytes);
      settle();
    },
    onTaken: (bytes) => stream?.send({ kind: "windowUpdate", stream: stream.number, bytes }),
    onFinished: () => undefined,
  });
  const sendHalfClose = () => {
    if (isHalfClosed && outbound?.isEmpty() === true && !isOver) {
      stream?.send({ kind: "endStream", stream: stream.number });
      isHalfClosed = false;
    }
  };

  const wire: SimClientWire & { requestSent: boolean } = {
    waitsForReady: options.waitForReady,
    leave: () => undefined,
    requestSent: false,
    start(metadata, to) {
      headers = metadata;
      listener = to;
      on.start(wire);
    },
    open(session) {
      if (isOver) return;
      const opened = session.begin({
        onFrame(frame) {
          if (isOver) return;
          if (frame.kind === "data") inbound.put(frame.bytes);
          else if (frame.kind === "windowUpdate") outbound?.taken(frame.bytes);
          else if (frame.kind === "status") {
            received = frame.status;
            settle();
          }
        },
        onBroken: (cause) => wire.fail(status.UNAVAILABLE, `Connection dropped: ${cause}`),
      });
      stream = opened;
      wire.requestSent = true;
      const { number } = opened;
      opened.send({
        kind: "headers",
        stream: number,
        path: options.path,
        metadata: headers,
        timeoutMs: Math.max(1, Math.ceil(options.remainingMs())),
      });
      outbound = createOutFlow((bytes) => opened.send({ kind: "data", stream: number, bytes }), sendHalfClose, queue);
      if (early !== undefined) outbound.send(early.bytes, early.onFlushed);
      early = undefined;
      sendHalfClose();
    },
    fail(code, details) {
      end({ code, details, metadata: new Metadata() });
    },
    sendMessage(bytes, onFlushed) {
      if (isOver) return;
      if (outbound === undefined) early = { bytes, onFlushed };
      else outbound.send(bytes, onFlushed);
    },
    halfClose() {
      isHalfClosed = true;
      sendHalfClose();
    },
    startRead: () => inbound.ask(),
    cancel(text) {
      if (isOver) return;
      outbound?.stop();
      if (stream !== undefined) stream.send({ kind: "reset", stream: stream.number });
      process.arrive("input", 0, () => wire.fail(status.CANCELLED, text));
    },
  };
  return wire;
}
