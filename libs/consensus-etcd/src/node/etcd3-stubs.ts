/**
 * etcd's API over the `etcd3` package's typed stubs, and nothing of the classes above them: those resume watches at the
 * wrong revision and report lost leases late. Its policies that send a call again are switched off. One instance talks to
 * one member.
 */
import { InterceptingCall, type Interceptor } from "@grpc/grpc-js";
import type { Clock } from "@tidemark/runtime";
import { noop } from "cockatiel";
import { Etcd3, type IOptions } from "etcd3";
import type { EtcdMembers, EtcdStubs } from "../stubs.ts";
import { errorOf } from "./error-of.ts";
import {
  keyBytes,
  keyValueOf,
  rangeOf,
  rangeRequestOf,
  revisionOf,
  txnRequestOf,
  watchResponseOf,
} from "./messages.ts";
import { openStream } from "./stream.ts";
import { createTokens } from "./tokens.ts";

export interface Etcd3Options {
  /** host:port of each member. */
  readonly endpoints: readonly string[];
  readonly clock: Clock;
  /** How long a unary call may take, milliseconds. The backend gives up sooner; this frees what a call holds. */
  readonly callTimeoutMs: number;
  /** Present: TLS, for every member. PEM. `key` and `certificate` together, or neither. */
  readonly tls?: {
    readonly authorities: string | Uint8Array;
    readonly key?: string | Uint8Array;
    readonly certificate?: string | Uint8Array;
  };
  readonly user?: { readonly name: string; readonly password: string };
}

/** Bytes of one answer. A page of a list is halved where it is larger. */
const receiveBytesMax = 64 * 1024 * 1024;

/** The members of a real etcd cluster. Nothing is dialled before the first call. */
export function etcdMembers(options: Etcd3Options): EtcdMembers {
  return { endpoints: options.endpoints, connect: (endpoint) => connect(endpoint, options) };
}

function connect(endpoint: string, options: Etcd3Options): EtcdStubs {
  const { user } = options;
  const tokens = user && createTokens(user, () => client);
  const interceptors = [requireLeader, ...(tokens === undefined ? [] : [tokens.interceptor])];
  const client: Etcd3 = new Etcd3(clientOptions(endpoint, interceptors, options));
  const within = <Answer>(call: () => Promise<Answer>) => (tokens === undefined ? call() : tokens.within(call));
  const settled = <Answer>(call: () => Promise<Answer>) => settle(within(call));
  return {
    async range(request) {
      const answer = await settled(() => client.kv.range(rangeRequestOf(request)));
      return { revision: revisionOf(answer.header), entries: answer.kvs.map(keyValueOf), more: answer.more };
    },
    async txn(request) {
      const answer = await settled(() => client.kv.txn(txnRequestOf(request)));
      const ranges = answer.succeeded ? answer.responses.flatMap(rangeOf) : [];
      return { revision: revisionOf(answer.header), succeeded: answer.succeeded, ranges };
    },
    async compact(revision) {
      await settled(() => client.kv.compact({ revision: String(revision) }));
    },
    async leaseGrant(ttlSeconds) {
      const answer = await settled(() => client.leaseClient.leaseGrant({ TTL: ttlSeconds }));
      return { id: answer.ID, ttlSeconds: Number(answer.TTL) };
    },
    async leaseRevoke(lease) {
      await settled(() => client.leaseClient.leaseRevoke({ ID: lease }));
    },
    leaseKeepAlive(lease, handlers) {
      const stream = openStream(
        within(() => client.leaseClient.leaseKeepAlive()),
        (answer) => ({ ttlSeconds: Number(answer.TTL) }),
        handlers,
      );
      return { send: () => stream.write({ ID: lease }), close: () => stream.close() };
    },
    watch(request, handlers) {
      const stream = openStream(
        within(() => client.watchClient.watch()),
        watchResponseOf,
        handlers,
      );
      const { key, rangeEnd, startRevision } = request;
      stream.write({
        create_request: {
          key: keyBytes(key),
          ...(rangeEnd === undefined ? {} : { range_end: keyBytes(rangeEnd) }),
          start_revision: String(startRevision),
          fragment: true,
        },
      });
      return { requestProgress: () => stream.write({ progress_request: {} }), close: () => stream.close() };
    },
    close: () => client.close(),
  };
}

async function settle<Answer>(answer: Promise<Answer>): Promise<Answer> {
  try {
    return await answer;
  } catch (error) {
    throw errorOf(error);
  }
}

function clientOptions(
  endpoint: string,
  interceptors: Interceptor[],
  { clock, callTimeoutMs, tls }: Etcd3Options,
): IOptions {
  return {
    hosts: `${tls === undefined ? "http" : "https"}://${endpoint}`,
    grpcOptions: {
      // Lists, leases and watches have connections of their own: none waits behind another.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.max_receive_message_length": receiveBytesMax,
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 1000,
    },
    defaultCallOptions: ({ isStream }) => ({
      interceptors,
      ...(isStream ? {} : { deadline: clock.wallMs() + callTimeoutMs }),
    }),
    faultHandling: { host: () => noop, global: noop },
    ...(tls === undefined ? {} : { credentials: credentialsOf(tls) }),
  };
}

function credentialsOf({ authorities, key, certificate }: NonNullable<Etcd3Options["tls"]>) {
  return {
    rootCertificate: Buffer.from(authorities),
    ...(key === undefined ? {} : { privateKey: Buffer.from(key) }),
    ...(certificate === undefined ? {} : { certChain: Buffer.from(certificate) }),
  };
}

/** A member that sees no leader fails the call or stream, instead of leaving it without news. */
const requireLeader: Interceptor = (options, nextCall) =>
  new InterceptingCall(nextCall(options), {
    start(metadata, listener, next) {
      metadata.set("hasleader", "true");
      next(metadata, listener);
    },
  });
