import type { ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import { type Cancel, type Clock, createDeferred, type Scheduler } from "@tidemark/runtime";
import type { TidemarkError } from "../errors/tidemark-error.ts";
import type { ConnectionLimits } from "../wire/budgets.ts";
import { type ByteBudget, createByteBudget } from "../wire/byte-budget.ts";
import { overLimit } from "./connection-errors.ts";
import { type ConnectionRefusal, createConnectionGate } from "./connection-gate.ts";
import { connectionKey } from "./grpc-wire.ts";

/** The connections of one listener: which come in, what each may queue, and how all of them are closed. */
export interface Connections {
  readonly count: number;
  /** A new socket: refused, or handed to `accept`. */
  readonly onSocket: (socket: Socket) => void;
  /** HTTP/2 has begun on one of them. */
  readonly onSession: (session: ServerHttp2Session) => void;
  /** HTTP/1.1 has begun on one of them: a request has come. */
  onHttp1(socket: Pick<Socket, "remoteAddress" | "remotePort">): void;
  /** Bytes that may be queued on the connection of this key. */
  readonly budget: (key: string) => ByteBudget;
  /** Tells every peer to open no more calls. Each connection closes after its last one; resolves when all have. */
  drain(): Promise<void>;
  /** Closes every connection now. */
  destroy(): void;
}

interface Connection {
  readonly socket: Socket;
  readonly budget: ByteBudget;
  readonly cancelHandshake: Cancel;
  session: ServerHttp2Session | undefined;
  isHttp1: boolean;
}

export function createConnections(options: {
  readonly limits: ConnectionLimits;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly processBudget: ByteBudget;
  /** Bytes that all streams of one connection may have waiting. */
  readonly queueLimit: number;
  readonly accept: (socket: Socket) => void;
  /** Closes a connection over a limit. */
  readonly refuse: (socket: Socket, error: TidemarkError) => void;
  readonly onRefused: (refusal: ConnectionRefusal, address: string) => void;
}): Connections {
  const { limits, clock, scheduler, processBudget, queueLimit, accept, refuse, onRefused } = options;
  const gate = createConnectionGate(clock, limits);
  const open = new Map<string, Connection>();
  const drained = createDeferred();
  let draining = false;

  const closed = (key: string, connection: Connection) => {
    if (open.get(key) === connection) open.delete(key);
    if (draining && open.size === 0) drained.resolve();
  };
  const admitted = (socket: Socket, address: string) => {
    const key = connectionKey(socket.remoteAddress, socket.remotePort);
    const cancelHandshake = scheduler.after(limits.handshakeTimeoutMs, () => {
      onRefused("handshakeTimeout", address);
      socket.destroy();
    });
    const budget = createByteBudget({ name: "connection", limit: queueLimit, parent: processBudget });
    const connection: Connection = { socket, budget, cancelHandshake, session: undefined, isHttp1: false };
    open.set(key, connection);
    socket.once("close", () => {
      cancelHandshake();
      gate.release(address);
      closed(key, connection);
    });
    accept(socket);
  };

  return {
    get count() {
      return open.size;
    },
    onSocket(socket) {
      // Whoever reads the socket later has a handler of its own; until then a reset must not end the process.
      socket.on("error", () => undefined);
      const address = socket.remoteAddress;
      if (address === undefined || draining) {
        socket.destroy();
        return;
      }
      const refusal = gate.admit(address);
      if (refusal === undefined) {
        admitted(socket, address);
        return;
      }
      onRefused(refusal, address);
      refuse(socket, overLimit(refusal, limits));
    },
    onSession(session) {
      const { remoteAddress, remotePort } = session.socket;
      const connection = open.get(connectionKey(remoteAddress, remotePort));
      if (connection === undefined) return;
      connection.session = session;
      session.once("remoteSettings", connection.cancelHandshake);
      if (draining) session.close();
    },
    onHttp1({ remoteAddress, remotePort }) {
      const connection = open.get(connectionKey(remoteAddress, remotePort));
      if (connection === undefined) return;
      connection.isHttp1 = true;
      connection.cancelHandshake();
    },
    budget: (key) => open.get(key)?.budget ?? processBudget,
    drain() {
      draining = true;
      for (const { session, socket, isHttp1 } of open.values()) {
        // Whoever counts the answers of a connection of HTTP/1.1 closes it after the last.
        if (isHttp1) continue;
        if (session === undefined) socket.destroy();
        else if (!session.closed) session.close();
      }
      if (open.size === 0) drained.resolve();
      return drained.promise;
    },
    destroy() {
      for (const { session, socket } of open.values()) {
        session?.destroy();
        socket.destroy();
      }
    },
  };
}
