import { EtcdError, type EtcdStubs, type StreamHandlers } from "@tidemark/consensus-etcd";
import type { Connection, SidePlace } from "../network/connection.ts";
import type { Call, FromClient, FromMember, Stream } from "./messages.ts";

/** Where members of etcd listen. */
export const etcdPort = 2379;

/** Serves a member on its host while its process lives: each connection has stubs of its own. */
export function serveMember({ host, process }: SidePlace, connect: () => EtcdStubs): void {
  host.listeners.set(etcdPort, { process, accept: (connection) => serve(connection, connect()) });
}

function serve(connection: Connection, stubs: EtcdStubs): void {
  const streams = new Map<number, { readonly ask: () => void; readonly close: () => void }>();
  // What a member that stands still has to say waits until it goes on.
  const say = (message: FromMember) => {
    connection.process.enter("input", () => connection.send({ kind: "value", value: message }));
  };
  const fail = (id: number, { code, message }: EtcdError) => {
    streams.delete(id);
    say({ kind: "failure", id, code, message });
  };
  const call = (id: number, asked: Call) => {
    callOf(stubs, asked).then(
      (value) => say({ kind: "answer", id, value }),
      (error: unknown) => {
        if (!(error instanceof EtcdError)) throw error;
        fail(id, error);
      },
    );
  };
  connection.onFrame = (frame) => {
    if (frame.kind !== "value") return;
    const message = frame.value as FromClient;
    switch (message.kind) {
      case "call":
        call(message.id, message.call);
        return;
      case "open": {
        const { id } = message;
        const handlers = {
          onMessage: (value: unknown) => say({ kind: "message", id, value }),
          onEnd: (error: EtcdError) => fail(id, error),
        };
        streams.set(id, openStream(stubs, message.stream, handlers));
        return;
      }
      case "ask":
        streams.get(message.id)?.ask();
        return;
      case "close":
        streams.get(message.id)?.close();
        streams.delete(message.id);
    }
  };
  connection.onBroken = () => stubs.close();
}

function callOf(stubs: EtcdStubs, call: Call): Promise<unknown> {
  switch (call.name) {
    case "range":
      return stubs.range(call.request);
    case "txn":
      return stubs.txn(call.request);
    case "compact":
      return stubs.compact(call.revision);
    case "leaseGrant":
      return stubs.leaseGrant(call.ttlSeconds);
    case "leaseRevoke":
      return stubs.leaseRevoke(call.lease);
  }
}

function openStream(stubs: EtcdStubs, stream: Stream, handlers: StreamHandlers<unknown>) {
  switch (stream.name) {
    case "watch": {
      const watch = stubs.watch(stream.request, handlers);
      return { ask: () => watch.requestProgress(), close: () => watch.close() };
    }
    case "leaseKeepAlive": {
      const keepAlive = stubs.leaseKeepAlive(stream.lease, handlers);
      return { ask: () => keepAlive.send(), close: () => keepAlive.close() };
    }
  }
}
