import { below, createDeferred } from "@tidemark/runtime";
import { EtcdError, type EtcdStubs, type StreamHandlers, type WatchResponse } from "../stubs.ts";
import { endLease, refuseFull, refuseUnwanted, type SimulatedCluster } from "./cluster.ts";
import { createWatch, isWatched, type SimulatedWatch } from "./watchers.ts";

export type MemberMode = "up" | "frozen" | "minority" | "down";

/** One member of a simulated etcd. */
export interface SimulatedMember {
  connect(): EtcdStubs;
  become(mode: MemberMode): void;
  /** It learns all that was committed, unless it does nothing now. */
  catchUp(): void;
  leaderLost(): void;
}

interface MemberState {
  readonly cluster: SimulatedCluster;
  readonly number: number;
  mode: MemberMode;
  /** The last revision that it has learned. */
  applied: bigint;
  /** What arrived while it was frozen. */
  readonly frozen: (() => void)[];
  readonly watches: Set<SimulatedWatch>;
  /** Ends the streams that are open. */
  readonly streams: Set<(error: EtcdError) => void>;
}

export function createSimulatedMember(cluster: SimulatedCluster, number: number): SimulatedMember {
  const state: MemberState = {
    cluster,
    number,
    mode: "up",
    applied: cluster.mvcc.revision(),
    frozen: [],
    watches: new Set(),
    streams: new Set(),
  };
  const endStreams = (message: string) => {
    for (const end of [...state.streams]) end(new EtcdError("LOST", message));
  };
  return {
    connect: () => connect(state),
    become(mode) {
      state.mode = mode;
      if (mode === "down") state.frozen.length = 0;
      if (mode === "down" || mode === "minority") endStreams(`the member is ${mode}`);
      if (mode !== "up") return;
      for (const step of state.frozen.splice(0)) step();
      apply(state);
    },
    catchUp() {
      if (state.mode === "up") apply(state);
    },
    leaderLost: () => endStreams("etcdserver: no leader"),
  };
}

function apply(state: MemberState): void {
  state.applied = state.cluster.mvcc.revision();
  for (const watch of [...state.watches]) watch.advance();
}

function connect(state: MemberState): EtcdStubs {
  const { cluster } = state;
  const { mvcc, leases, runtime } = cluster;
  const connection: Connection = { isClosed: false, lastArrivalMs: 0, ends: new Set() };
  const call = <Answer>(carryOut: () => Answer) => unary(state, connection, carryOut);
  return {
    range: (request) =>
      call(() => {
        if (cluster.denied.has(request.key)) throw new EtcdError("DENIED", "etcdserver: permission denied");
        return mvcc.range(request);
      }),
    txn: (request) =>
      call(() => {
        refuseUnwanted(cluster, request);
        const answer = mvcc.txn(request, (lease) => leases.has(lease));
        cluster.agreement.committed();
        return answer;
      }),
    compact: (revision) => call(() => mvcc.compact(revision)),
    leaseGrant: (ttlSeconds) =>
      call(() => {
        refuseFull(cluster);
        return leases.grant(ttlSeconds, runtime.clock.monotonicMs());
      }),
    leaseRevoke: (lease) =>
      call(() => {
        if (!leases.has(lease)) throw new EtcdError("LEASE_NOT_FOUND", "requested lease not found");
        endLease(cluster, lease);
      }),
    leaseKeepAlive(lease, handlers) {
      const stream = openStream(state, connection, handlers);
      return {
        send: () =>
          stream.arrive(() =>
            cluster.agreement.agree(
              state.number,
              () => stream.send({ ttlSeconds: leases.renew(lease, runtime.clock.monotonicMs()) }),
              (why) => stream.fail(why),
            ),
          ),
        close: () => stream.close(),
      };
    },
    watch(request, handlers) {
      let watch: SimulatedWatch | undefined;
      const stream = openStream(state, connection, handlers, () => {
        watch?.stop();
        if (watch !== undefined) state.watches.delete(watch);
      });
      stream.arrive(() => {
        if ([...cluster.denied].some((key) => isWatched(key, request))) {
          stream.send(deniedWatch(state.applied));
          return;
        }
        watch = createWatch({
          request,
          mvcc,
          applied: () => state.applied,
          shape: cluster.shape,
          scheduler: runtime.scheduler,
          send: (response) => stream.send(response),
        });
        state.watches.add(watch);
        watch.advance();
      });
      return {
        requestProgress: () => stream.arrive(() => watch?.requestProgress()),
        close: () => stream.close(),
      };
    },
    close() {
      connection.isClosed = true;
      for (const end of [...connection.ends]) end(new EtcdError("LOST", "the connection was closed"));
    },
  };
}

/** A watch of which any key is denied begins and ends in one word; its stream stands. */
function deniedWatch(revision: bigint): WatchResponse {
  const reason = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
  return { revision, created: true, canceled: { reason, compactRevision: 0n }, fragment: false, events: [] };
}

interface Connection {
  isClosed: boolean;
  /** What was sent later arrives later. */
  lastArrivalMs: number;
  readonly ends: Set<(error: EtcdError) => void>;
}

/** Why the member does not serve now. */
function failureOf({ mode, cluster }: MemberState): EtcdError | undefined {
  if (mode === "down") return new EtcdError("LOST", "connect ECONNREFUSED");
  if (mode === "minority" || !cluster.hasLeader) return new EtcdError("LOST", "etcdserver: no leader");
  return undefined;
}

/** Runs the step after a while, in the order of the calls on this connection. */
function travel({ cluster }: MemberState, connection: Connection, step: () => void): void {
  const { runtime, latencyMs } = cluster;
  const now = runtime.clock.monotonicMs();
  const arrivalMs = Math.max(connection.lastArrivalMs, now + below(runtime.random, Math.max(1, latencyMs * 10)) / 10);
  connection.lastArrivalMs = arrivalMs;
  runtime.scheduler.after(arrivalMs - now, step);
}

/** What arrives at a frozen member waits there, and is carried out though nobody waits for the answer any more. */
function arrive(state: MemberState, step: () => void): void {
  if (state.mode === "frozen") state.frozen.push(step);
  else step();
}

function unary<Answer>(state: MemberState, connection: Connection, carryOut: () => Answer): Promise<Answer> {
  const answered = createDeferred<Answer>();
  const fail = (error: EtcdError) => {
    connection.ends.delete(fail);
    answered.reject(error);
  };
  connection.ends.add(fail);
  const answer = (tell: () => void) =>
    travel(state, connection, () => {
      connection.ends.delete(fail);
      tell();
    });
  travel(state, connection, () =>
    arrive(state, () => {
      const failure = failureOf(state);
      if (failure !== undefined) {
        answer(() => answered.reject(failure));
        return;
      }
      const attempt = () => {
        try {
          const value = carryOut();
          // It answers when it has applied what it asked for.
          if (state.mode === "up") apply(state);
          answer(() => answered.resolve(value));
        } catch (error) {
          if (!(error instanceof EtcdError)) throw error;
          answer(() => answered.reject(error));
        }
      };
      state.cluster.agreement.agree(state.number, attempt, (why) => {
        answer(() => answered.reject(new EtcdError("LOST", why)));
      });
    }),
  );
  return answered.promise;
}

interface OpenStream<Message> {
  /** From the client. */
  arrive(step: () => void): void;
  /** To the client. A frozen member sends nothing. */
  send(message: Message): void;
  /** The member ends it. */
  fail(why: string): void;
  close(): void;
}

function openStream<Message>(
  state: MemberState,
  connection: Connection,
  handlers: StreamHandlers<Message>,
  onOver: () => void = () => {},
): OpenStream<Message> {
  let isOver = false;
  const finish = () => {
    isOver = true;
    state.streams.delete(end);
    connection.ends.delete(end);
    onOver();
  };
  const end = (error: EtcdError) => {
    if (isOver) return;
    finish();
    travel(state, connection, () => {
      if (!connection.isClosed) handlers.onEnd(error);
    });
  };
  let closedByClient = false;
  state.streams.add(end);
  connection.ends.add(end);
  return {
    arrive: (step) =>
      travel(state, connection, () =>
        arrive(state, () => {
          if (isOver) return;
          const failure = failureOf(state);
          if (failure === undefined) step();
          else end(failure);
        }),
      ),
    send: (message) =>
      travel(state, connection, () => {
        if (!isOver && !closedByClient && !connection.isClosed) handlers.onMessage(message);
      }),
    fail: (why) => end(new EtcdError("LOST", why)),
    close() {
      closedByClient = true;
      if (!isOver) finish();
    },
  };
}
