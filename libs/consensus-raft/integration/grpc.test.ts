import { MalformedBytesError } from "@tidemark/consensus/store";
import { directoryId } from "@tidemark/ids";
import { Reason } from "@tidemark/proto/common/v1";
import { RaftService } from "@tidemark/proto/raft/v1";
import { logIndex, type Message, type NodeId, term } from "@tidemark/raft";
import {
  createRpcClient,
  createRpcServer,
  grpcTransport,
  openRawStream,
  type RpcChannel,
  type TidemarkError,
  type Transport,
} from "@tidemark/rpc";
import { createDeferred, createNodeRuntime } from "@tidemark/runtime";
import { waitFor } from "@tidemark/testkit";
import { afterEach, describe, expect, it } from "vitest";
import { toWire } from "../src/grpc/message-codec.ts";
import { createGrpcTransport, type TransportHandlers } from "../src/index.ts";

const runtime = createNodeRuntime();
const ids = [1, 2].map((n) => directoryId(`00000000-0000-4000-8000-00000000000${n}`));
const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A member that takes what comes, and notes it. */
async function member(
  index: 0 | 1,
  clusterId: string | undefined,
  rpc: Pick<Transport, "createChannel" | "probe"> = grpcTransport,
) {
  const id = ids[index] ?? directoryId("");
  const noted = { messages: [] as Message[], refused: 0, broken: 0, cluster: clusterId };
  let address = "";
  const transport = createGrpcTransport({ id, address: () => address, runtime, rpc });
  const handlers: TransportHandlers = {
    onMessage: (message) => noted.messages.push(message),
    async onSubmit(command) {
      if (command[0] === 0) throw new MalformedBytesError("a command has the unknown kind 0");
      return command.length > 0 ? { kind: "committed", revisions: [7n as never] } : { kind: "notLeader" };
    },
    onRefused: () => {
      noted.refused += 1;
    },
    onUnreachable: () => {
      noted.broken += 1;
    },
    clusterId: () => noted.cluster,
    joinCluster: (joined) => {
      noted.cluster = joined;
    },
  };
  transport.start(handlers);
  const internal = { host: "127.0.0.1", port: 0, services: [transport.service] };
  const server = createRpcServer({ runtime, transport: grpcTransport, listeners: { internal } });
  const bound = await server.start();
  address = `${index + 1}@127.0.0.1:${bound["internal"]?.port ?? 0}`;
  closing.push(
    () => server.stop(0),
    () => transport.close(),
  );
  return { id, transport, server, noted, address: () => address };
}

const heartbeat = (from: 0 | 1, to: 0 | 1, round: number): Message => ({
  kind: "heartbeat",
  from: ids[from] ?? directoryId(""),
  to: ids[to] ?? directoryId(""),
  term: term(2),
  toVoter: true,
  commit: logIndex(0),
  round,
});

const snapshotChunk = (from: 0 | 1, to: 0 | 1): Message => ({
  kind: "snapshotChunk",
  from: ids[from] ?? directoryId(""),
  to: ids[to] ?? directoryId(""),
  term: term(2),
  toVoter: true,
  snapshot: { index: logIndex(5), term: term(1), membership: { voters: [], learners: [] }, sizeBytes: 3 },
  offset: 0,
  data: Uint8Array.of(1, 2, 3),
});

describe("members over gRPC", () => {
  it("hear each other's messages in order, and answer commands", async () => {
    const [one, two] = [await member(0, "c"), await member(1, "c")];
    const to = { id: two.id, address: two.address() };
    for (let round = 0; round < 50; round++) one.transport.send(to, heartbeat(0, 1, round));
    await waitFor("all of them to arrive", () => two.noted.messages.length === 50);
    expect(two.noted.messages.map((message) => (message.kind === "heartbeat" ? message.round : -1))).toEqual(
      Array.from({ length: 50 }, (_, round) => round),
    );
    const { signal } = new AbortController();
    expect(await one.transport.submit(to, Uint8Array.of(1), signal)).toEqual({ kind: "committed", revisions: [7n] });
    expect(await one.transport.submit(to, Uint8Array.of(), signal)).toEqual({ kind: "notLeader" });
  });

  it("of another cluster are not heard", async () => {
    const [one, two] = [await member(0, "c"), await member(1, "other")];
    const to = { id: two.id, address: two.address() };
    one.transport.send(to, heartbeat(0, 1, 0));
    await waitFor("the stream to be refused", () => one.noted.broken > 0);
    expect(two.noted.messages).toEqual([]);
    expect(await one.transport.submit(to, Uint8Array.of(1), new AbortController().signal)).toEqual({
      kind: "notLeader",
    });
  });

  it("make a member to be one of their cluster, and are reached by it where they said", async () => {
    const [one, two] = [await member(0, "c"), await member(1, undefined)];
    one.transport.send({ id: two.id, address: two.address() }, heartbeat(0, 1, 0));
    await waitFor("the cluster to be joined", () => two.noted.cluster === "c");
    two.transport.send({ id: one.id, address: undefined }, heartbeat(1, 0, 1));
    await waitFor("the answer to arrive", () => one.noted.messages.length === 1);
  });

  it("are known to be gone by a refused connection alone", async () => {
    const [one, two] = [await member(0, "c"), await member(1, "c")];
    const to = { id: two.id, address: two.address() };
    one.transport.send(to, heartbeat(0, 1, 0));
    await waitFor("it to arrive", () => two.noted.messages.length === 1);
    expect(one.noted.refused).toBe(0);
    await two.server.stop(0);
    await waitFor("the refusal", () => {
      one.transport.send(to, heartbeat(0, 1, 1));
      return one.noted.refused > 0;
    });
  });

  it("are known to be gone though their port still took a connection when the first one was reset", async () => {
    const probed: string[] = [];
    const one = await member(0, "c", {
      ...grpcTransport,
      async probe(endpoint, timeoutMs) {
        const result = probed.length === 0 ? "reached" : await grpcTransport.probe(endpoint, timeoutMs);
        probed.push(result);
        return result;
      },
    });
    const two = await member(1, "c");
    one.transport.send({ id: two.id, address: two.address() }, heartbeat(0, 1, 0));
    await waitFor("it to arrive", () => two.noted.messages.length === 1);
    await two.server.stop(0);
    // Nothing more is said to it, so that no other connection breaks.
    await waitFor("the refusal", () => one.noted.refused > 0);
    expect(probed.slice(0, 2)).toEqual(["reached", "refused"]);
  });

  it.each(["unreachable", "reached"] as const)(
    "are not taken to be gone where a connection broke and each probe finds their port %s",
    async (found) => {
      let probed = 0;
      const one = await member(0, "c", {
        ...grpcTransport,
        async probe() {
          probed += 1;
          return found;
        },
      });
      const two = await member(1, "c");
      one.transport.send({ id: two.id, address: two.address() }, heartbeat(0, 1, 0));
      await waitFor("it to arrive", () => two.noted.messages.length === 1);
      await two.server.stop(0);
      await waitFor("the last probe, or a verdict before it", () => probed === 5 || one.noted.refused > 0);
      expect(one.noted.refused).toBe(0);
      expect(one.noted.broken).toBeGreaterThan(0);
    },
  );

  it("are sent snapshots on a connection of their own, which holds up no heartbeat", async () => {
    const opened: string[] = [];
    const one = await member(0, "c", {
      ...grpcTransport,
      createChannel(endpoint, options) {
        opened.push(options.trafficClass);
        return grpcTransport.createChannel(endpoint, options);
      },
    });
    const two = await member(1, "c");
    const to = { id: two.id, address: two.address() };
    one.transport.send(to, heartbeat(0, 1, 0));
    one.transport.send(to, snapshotChunk(0, 1));
    await waitFor("both to arrive", () => two.noted.messages.length === 2);
    expect(new Set(two.noted.messages.map(({ kind }) => kind))).toEqual(new Set(["heartbeat", "snapshotChunk"]));
    expect(opened).toEqual(["raft", "replication"]);
  });

  it("take up nothing that is no command, say so, and wait where the leader knows a command not yet", async () => {
    const [one, two] = [await member(0, "c"), await member(1, "c")];
    const { channel } = strange(one.address());
    const submitting = createRpcClient(RaftService, channel).submit({ to: one.id, command: Uint8Array.of(0) });
    await expect(submitting).rejects.toMatchObject({ reason: Reason.INVALID_ARGUMENT });
    const to = { id: one.id, address: one.address() };
    expect(await two.transport.submit(to, Uint8Array.of(0), new AbortController().signal)).toEqual({
      kind: "notLeader",
    });
  });

  it("hear nobody who speaks for another", async () => {
    const one = await member(0, "c");
    const { hello, say, ended } = strange(one.address());
    hello(stranger(1), one.id);
    say(heartbeatFrom(stranger(1), one.id));
    await waitFor("its own word to arrive", () => one.noted.messages.length === 1);
    say(heartbeatFrom(stranger(2), one.id));
    expect(await ended).toMatchObject({ reason: Reason.INVALID_ARGUMENT });
    expect(one.noted.messages.map(({ from }) => from)).toEqual([stranger(1)]);
  });

  it("remember a limited number of strangers, and keep the way to no more", async () => {
    const open = new Set<string>();
    let opened = 0;
    const one = await member(0, "c", {
      ...grpcTransport,
      createChannel(endpoint, options) {
        const channel = grpcTransport.createChannel(endpoint, options);
        const name = `channel ${(opened += 1)}`;
        open.add(name);
        return {
          ...channel,
          close() {
            open.delete(name);
            channel.close();
          },
        };
      },
    });
    const two = await member(1, "c");
    const { hello, say } = strange(one.address());
    const strangers = Array.from({ length: 40 }, (_, number) => stranger(number));
    for (const [at, id] of strangers.entries()) {
      hello(id, one.id, two.address());
      say(heartbeatFrom(id, one.id));
      await waitFor("it to be heard", () => one.noted.messages.length === at + 1);
      one.transport.send({ id, address: undefined }, heartbeatFrom(one.id, id));
    }
    expect([opened, open.size]).toEqual([40, 32]);
    one.transport.send({ id: strangers[0] ?? one.id, address: undefined }, heartbeat(0, 1, 0));
    expect(opened).toBe(40);
  });
});

const stranger = (number: number): NodeId => directoryId(`00000000-0000-4000-9000-${String(number).padStart(12, "0")}`);

const heartbeatFrom = (from: NodeId, to: NodeId): Message => ({ ...heartbeat(0, 1, 0), from, to });

/** A process that is no member, on one stream. */
function strange(address: string) {
  const endpoint = address.slice(address.indexOf("@") + 1);
  const channel: RpcChannel = grpcTransport.createChannel(endpoint, { runtime, trafficClass: "raft" });
  closing.push(async () => channel.close());
  const ended = createDeferred<TidemarkError | undefined>();
  const stream = openRawStream(channel, RaftService.method.exchange, () => ({
    onMessage: () => undefined,
    onClose: (error) => ended.resolve(error),
  }));
  return {
    channel,
    ended: ended.promise,
    hello: (from: NodeId, to: NodeId, reachedAt = "") =>
      stream.write({ content: { case: "hello", value: { clusterId: "c", from, to, address: reachedAt } } }),
    say: (message: Message) => stream.write({ content: { case: "message", value: toWire(message) } }),
  };
}
