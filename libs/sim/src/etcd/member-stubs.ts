import {
  EtcdError,
  type EtcdStubs,
  type LeaseGrant,
  type RangeResponse,
  type StreamHandlers,
  type TxnResponse,
} from "@tidemark/consensus-etcd";
import { createDeferred, type Deferred } from "@tidemark/runtime";
import type { Connection, SidePlace } from "../network/connection.ts";
import type { Network } from "../network/network.ts";
import type { Call, FromClient, FromMember, Stream } from "./messages.ts";

/** How long a client tries to connect, in milliseconds. */
const connectTimeoutMs = 5000;

/**
 * The stubs of one member, over one connection at a time: where that breaks everything on it fails, and the next call
 * connects anew.
 */
export function connectMember(
  network: Network,
  from: SidePlace,
  to: { readonly host: string; readonly port: number },
): EtcdStubs {
  const calls = new Map<number, Deferred<unknown>>();
  const streams = new Map<number, StreamHandlers<unknown>>();
  let waiting: FromClient[] = [];
  let connection: Connection | undefined;
  let giveUp: (() => void) | undefined;
  let lastId = 0;
  let isClosed = false;

  const say = (message: FromClient) => {
    if (connection !== undefined) {
      connection.send({ kind: "value", value: message });
      return;
    }
    waiting.push(message);
    giveUp ??= connect();
  };
  const end = (id: number, error: EtcdError) => {
    calls.get(id)?.reject(error);
    calls.delete(id);
    const stream = streams.get(id);
    streams.delete(id);
    stream?.onEnd(error);
  };
  const breakOff = (why: string) => {
    connection = undefined;
    giveUp = undefined;
    waiting = [];
    const error = new EtcdError("LOST", `${to.host}:${to.port}: ${why}`);
    for (const id of [...calls.keys(), ...streams.keys()]) end(id, error);
  };
  const take = (message: FromMember) => {
    switch (message.kind) {
      case "answer":
        calls.get(message.id)?.resolve(message.value);
        calls.delete(message.id);
        return;
      case "message":
        streams.get(message.id)?.onMessage(message.value);
        return;
      case "failure":
        end(message.id, new EtcdError(message.code, message.message));
    }
  };
  const connect = () =>
    network.dial(from, { ...to, timeoutMs: connectTimeoutMs }, (dialled) => {
      if (dialled.kind !== "reached") {
        breakOff(dialled.kind);
        return;
      }
      connection = dialled.connection;
      connection.onFrame = (frame) => {
        if (frame.kind === "value") take(frame.value as FromMember);
      };
      connection.onBroken = (cause) => breakOff(cause);
      for (const message of waiting.splice(0)) say(message);
    });
  const call = async (asked: Call): Promise<unknown> => {
    if (isClosed) throw new EtcdError("LOST", "the connection was closed");
    const answered = createDeferred<unknown>();
    lastId += 1;
    calls.set(lastId, answered);
    say({ kind: "call", id: lastId, call: asked });
    return answered.promise;
  };
  const open = (stream: Stream, handlers: StreamHandlers<unknown>) => {
    lastId += 1;
    const id = lastId;
    streams.set(id, handlers);
    say({ kind: "open", id, stream });
    return {
      ask() {
        if (streams.has(id)) say({ kind: "ask", id });
      },
      close() {
        if (streams.delete(id)) say({ kind: "close", id });
      },
    };
  };

  return {
    range: (request) => call({ name: "range", request }) as Promise<RangeResponse>,
    txn: (request) => call({ name: "txn", request }) as Promise<TxnResponse>,
    compact: (revision) => call({ name: "compact", revision }) as Promise<void>,
    leaseGrant: (ttlSeconds) => call({ name: "leaseGrant", ttlSeconds }) as Promise<LeaseGrant>,
    leaseRevoke: (lease) => call({ name: "leaseRevoke", lease }) as Promise<void>,
    watch(request, handlers) {
      const stream = open({ name: "watch", request }, handlers as StreamHandlers<unknown>);
      return { requestProgress: () => stream.ask(), close: () => stream.close() };
    },
    leaseKeepAlive(lease, handlers) {
      const stream = open({ name: "leaseKeepAlive", lease }, handlers as StreamHandlers<unknown>);
      return { send: () => stream.ask(), close: () => stream.close() };
    },
    close() {
      isClosed = true;
      giveUp?.();
      connection?.close();
      streams.clear();
      breakOff("the connection was closed");
    },
  };
}
