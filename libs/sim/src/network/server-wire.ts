import type { ByteBudget, GrpcStatus, ServerWire, ServerWireListener } from "@tidemark/rpc";
import { createInFlow, createOutFlow } from "./flow.ts";
import type { StreamFrame } from "./frames.ts";
import type { PeerQueue } from "./network-watch.ts";
import type { Session } from "./session.ts";

/** A call that has come by a session, as a server takes it. */
export function createServerWire(
  session: Session,
  headers: StreamFrame & { readonly kind: "headers" },
  of: {
    readonly listener: string;
    readonly peer: string;
    readonly connectionBudget: ByteBudget;
    readonly queue: PeerQueue;
  },
): ServerWire {
  let listener: ServerWireListener | undefined;
  /** Our own status, which leaves behind what was sent before. */
  let ending: GrpcStatus | undefined;
  let isOver = false;

  const finish = () => {
    if (isOver || ending === undefined || !outbound.isEmpty()) return;
    isOver = true;
    stream.send({ kind: "status", stream: number, status: ending });
    outbound.stop();
    stream.end();
    // Behind the back of whoever ends the call, as a transport tells it.
    Promise.resolve().then(
      () => listener?.onClose(),
      () => undefined,
    );
  };
  const lose = () => {
    if (isOver) return;
    isOver = true;
    outbound.stop();
    stream.end();
    listener?.onClose();
  };
  const outbound = createOutFlow((bytes) => stream.send({ kind: "data", stream: number, bytes }), finish, of.queue);
  const inbound = createInFlow({
    onMessage: (bytes) => listener?.onMessage(bytes),
    onTaken: (bytes) => stream.send({ kind: "windowUpdate", stream: number, bytes }),
    onFinished: () => listener?.onHalfClose(),
  });
  const stream = session.begin(
    {
      onFrame(frame) {
        if (isOver) return;
        if (frame.kind === "data") inbound.put(frame.bytes);
        else if (frame.kind === "windowUpdate") outbound.taken(frame.bytes);
        else if (frame.kind === "endStream") inbound.finish();
        else if (frame.kind === "reset") lose();
      },
      onBroken: lose,
    },
    headers.stream,
  );
  const { number } = stream;

  return {
    metadata: headers.metadata,
    peer: of.peer,
    identity: () => undefined,
    listener: of.listener,
    timeoutMs: headers.timeoutMs,
    connectionBudget: of.connectionBudget,
    start(to) {
      listener = to;
    },
    startRead() {
      if (!isOver) inbound.ask();
    },
    sendMessage(bytes, onFlushed) {
      if (!isOver) outbound.send(bytes, onFlushed);
    },
    sendStatus(status) {
      ending ??= status;
      finish();
    },
  };
}
