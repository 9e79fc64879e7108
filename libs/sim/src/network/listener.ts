import { Metadata, status } from "@grpc/grpc-js";
import {
  type ByteBudget,
  createByteBudget,
  DEFAULT_KEEPALIVE,
  type ListenerContext,
  type ListenerOptions,
  QUEUE_LIMIT_BYTES,
  type RpcListener,
} from "@tidemark/rpc";
import { createDeferred } from "@tidemark/runtime";
import type { Connection, SidePlace } from "./connection.ts";
import type { NetworkContext } from "./host.ts";
import type { PeerQueue } from "./network-watch.ts";
import { createServerWire } from "./server-wire.ts";
import { createSession, type Session } from "./session.ts";

/** Where callers' own ports begin; each connection of a listener gets the next. */
const firstPeerPort = 32_768;

/** A port of a host, with what a server serves there. */
export function createSimListener(
  { watch }: Pick<NetworkContext, "watch">,
  place: SidePlace,
  name: string,
  options: ListenerOptions,
  context: ListenerContext,
): RpcListener {
  const { host, process } = place;
  const sessions = new Set<Session>();
  const queues = new WeakMap<Session, PeerQueue>();
  const drained = createDeferred();
  let port = options.port;
  let peers = 0;
  let isDraining = false;

  const closeIfIdle = (session: Session) => {
    if (!isDraining || session.streamCount() > 0) return;
    session.close();
    removed(session);
  };
  const removed = (session: Session) => {
    sessions.delete(session);
    queues.get(session)?.end();
    if (isDraining && sessions.size === 0) drained.resolve();
  };
  const accept = (connection: Connection) => {
    peers += 1;
    const peer = `${connection.remote.name}:${firstPeerPort + peers}`;
    const connectionBudget: ByteBudget = createByteBudget({
      name: "connection",
      limit: (options.queueLimitBytes ?? QUEUE_LIMIT_BYTES).connection,
      parent: context.processBudget,
    });
    const queue = watch.onConnection(process, peer, connectionBudget);
    const session = createSession(connection, options.keepalive ?? DEFAULT_KEEPALIVE, {
      onHeaders(frame) {
        if (isDraining) {
          const refused = { code: status.UNAVAILABLE, details: "Stream refused by server", metadata: new Metadata() };
          connection.send({ kind: "status", stream: frame.stream, status: refused });
          return;
        }
        context.dispatch(
          frame.path,
          createServerWire(session, frame, { listener: name, peer, connectionBudget, queue }),
        );
      },
      onBroken: () => removed(session),
      onIdle: () => closeIfIdle(session),
    });
    sessions.add(session);
    queues.set(session, queue);
    connection.send({ kind: "settings" });
  };
  const unbind = () => {
    if (host.listeners.get(port)?.process === process) host.listeners.delete(port);
  };

  return {
    get connectionCount() {
      return sessions.size;
    },
    async bind() {
      if (port === 0) port = freePort(host.listeners);
      if (host.listeners.get(port)?.process.isAlive === true) throw new Error(`${host.name}:${port} is taken`);
      host.listeners.set(port, { process, accept });
      return { host: host.name, port };
    },
    drain() {
      isDraining = true;
      unbind();
      for (const session of [...sessions]) {
        session.connection.send({ kind: "goAway" });
        closeIfIdle(session);
      }
      if (sessions.size === 0) drained.resolve();
      return drained.promise;
    },
    async close() {
      unbind();
      for (const session of [...sessions]) {
        session.close();
        removed(session);
      }
    },
  };
}

function freePort(taken: ReadonlyMap<number, unknown>): number {
  let port = 20_000;
  while (taken.has(port)) port += 1;
  return port;
}
