import { createDeferred } from "@tidemark/runtime";
import { createTcpProxy } from "@tidemark/testkit/tcp-proxy";
import { describe, expect, it } from "vitest";
import {
  batchAt,
  cleanUp,
  createFakeReceiving,
  createFakeServing,
  endlessRecords,
  eventually,
  fetchFrom,
  flushedUpTo,
  leaderId,
  nothingNew,
  type Received,
  records,
  replica,
  startFollower,
  startLeader,
} from "./testing/replica-harness.ts";

describe("replica streams", () => {
  it("bring a follower the records of its leader, whole and in order, fetch after fetch", async () => {
    const serving = createFakeServing(({ fetch, reply }) => reply(endlessRecords(fetch, 40_000)));
    const { endpoint } = await startLeader(serving);
    let end = 0;
    const done = createDeferred();
    const receiving = createFakeReceiving(({ response, bytes, release }) => {
      if (response.content.kind !== "records") throw new Error("no records");
      const [first] = response.content.batches;
      expect(first?.baseOffset).toBe(BigInt(end));
      expect(bytes.length).toBe(response.content.batches.length * batchAt(0, 40_000).length);
      end += response.content.batches.length;
      release();
      if (end > 500) done.resolve();
      else fetcher.fetch(leaderId, replica(0), fetchFrom(end));
    });
    const fetcher = startFollower(endpoint, receiving);
    fetcher.fetch(leaderId, replica(0), fetchFrom(0));
    await done.promise;
  });

  it("bring every kind of reply as it is", async () => {
    const replies = [
      nothingNew(),
      { kind: "diverging", divergence: { leaderEpoch: 2 as never, endOffset: 9n as never } },
      { kind: "diverging", divergence: { leaderEpoch: -1 as never, endOffset: 4n as never } },
      { kind: "behindLogStart", logStart: 70n as never },
      { kind: "refused", reason: "FENCED_LEADER_EPOCH", leaderEpoch: 3 as never },
      records([batchAt(5)], { highWatermark: 3n as never, logStart: 1n as never }),
    ] as const;
    const serving = createFakeServing(({ partition, goesOnFrom, reply }) => {
      if (goesOnFrom === undefined) reply(replies[partition] ?? nothingNew());
    });
    const { endpoint } = await startLeader(serving);
    const receiving = createFakeReceiving();
    const fetcher = startFollower(endpoint, receiving);
    for (const partition of replies.keys()) fetcher.fetch(leaderId, replica(partition), fetchFrom(5));
    await eventually(() => receiving.responses.length).toBe(replies.length);
    const inOrder = receiving.responses.toSorted((a, b) => a.partition - b.partition);
    expect(inOrder.map(({ response }) => response.content)).toEqual([
      { kind: "records", batches: [], highWatermark: 0n, logStart: 0n },
      { kind: "diverging", divergence: { leaderEpoch: 2, endOffset: 9n } },
      { kind: "diverging", divergence: { leaderEpoch: -1, endOffset: 4n } },
      { kind: "behindLogStart", logStart: 70n },
      { kind: "refused", reason: "FENCED_LEADER_EPOCH" },
      {
        kind: "records",
        batches: [{ baseOffset: 5n, endOffset: 6n, leaderEpoch: 3 }],
        highWatermark: 3n,
        logStart: 1n,
      },
    ]);
    expect(inOrder.map(({ response }) => [response.from, response.leaderEpoch, response.session])).toEqual(
      replies.map(() => [leaderId, 3, 1]),
    );
    const asked = serving.fetches.filter(({ goesOnFrom }) => goesOnFrom === undefined);
    expect(asked.map(({ fetch }) => fetch)).toEqual(replies.map(() => fetchFrom(5)));
  });

  it("bring what comes without being asked, as long as the fetch stands, and what follows when it is asked again", async () => {
    const count = 40;
    const asked: number[] = [];
    const serving = createFakeServing(({ fetch, goesOnFrom, reply }) => {
      const from = Number(fetch.fetchOffset);
      if (goesOnFrom === undefined) asked.push(from);
      if (from < count) reply(records([batchAt(from, 1000)]));
    });
    const { endpoint } = await startLeader(serving);
    const receiving = createFakeReceiving(({ response, release }) => {
      release();
      const end = response.content.kind === "records" ? response.content.batches.at(-1)?.endOffset : undefined;
      if (end !== undefined) fetcher.fetch(leaderId, replica(0), fetchFrom(Number(end)));
    });
    const fetcher = startFollower(endpoint, receiving, { limits: { unwrittenBytes: 15_000 } });
    fetcher.fetch(leaderId, replica(0), fetchFrom(0));
    await eventually(() => receiving.responses.length).toBe(count);
    const bases = receiving.responses.flatMap(({ response: { content } }) =>
      content.kind === "records" ? content.batches.map(({ baseOffset }) => Number(baseOffset)) : [],
    );
    expect(bases).toEqual(Array.from({ length: count }, (_, index) => index));
    // Batches of a little more than 1,000 bytes: with the fifteenth a fetch has brought what it stands for.
    expect(asked).toEqual([0, 15, 30]);
  });

  it("report a flush at once while a fetch waits, and behind the fetch of the same turn", async () => {
    const order: string[] = [];
    const serving = createFakeServing(() => order.push("fetch"));
    const { endpoint } = await startLeader({
      fetch: serving.fetch,
      goOn: serving.goOn,
      flushed: (partition, report, fetchedIn) => {
        order.push(
          `flushed ${report.flushed}${fetchedIn.map(({ traceparent, startOffset, endOffset }) => ` of ${traceparent} from ${startOffset} to ${endOffset}`).join("")}`,
        );
        serving.flushed(partition, report, fetchedIn);
      },
    });
    const fetcher = startFollower(endpoint, createFakeReceiving());
    fetcher.flushed(leaderId, replica(0), flushedUpTo(3));
    fetcher.fetch(leaderId, replica(0), fetchFrom(5, { flushed: 1n as never }));
    await eventually(() => order).toEqual(["fetch", "flushed 3"]);
    fetcher.flushed(leaderId, replica(0), flushedUpTo(5), [
      { traceparent: "a recorded fetch", startOffset: 2n as never, endOffset: 5n as never },
    ]);
    await eventually(() => order).toEqual(["fetch", "flushed 3", "flushed 5 of a recorded fetch from 2 to 5"]);
    expect(serving.reports[1]).toEqual({ partition: 0, report: flushedUpTo(5) });
    expect(serving.fetches[0]?.isCancelled).toBe(false);
  });

  it("hold nobody up that is in sync while another partition catches up, on a connection of its own", async () => {
    const held: Received[] = [];
    const tail = createDeferred();
    let end = 0;
    const serving = createFakeServing(({ partition, fetch, reply }) => {
      if (partition === 0) reply(endlessRecords(fetch, 200_000, 1_000_000));
      else if (fetch.fetchOffset < 50n) reply(records([batchAt(Number(fetch.fetchOffset))], { logEnd: 50n as never }));
    });
    const { endpoint, server } = await startLeader(serving);
    const opened: string[] = [];
    const receiving = createFakeReceiving((received) => {
      const { partition, response, release } = received;
      if (response.content.kind !== "records") throw new Error("no records");
      const last = Number(response.content.batches.at(-1)?.endOffset);
      // The disk under partition 0 has stopped: what came for it is never written.
      if (partition === 0) held.push(received);
      else {
        release();
        end = last;
        if (end === 50) tail.resolve();
      }
      fetcher.fetch(leaderId, replica(partition), fetchFrom(last));
    });
    const fetcher = startFollower(endpoint, receiving, {
      onOpen: (_, trafficClass) => opened.push(trafficClass),
    });
    fetcher.fetch(leaderId, replica(0), fetchFrom(0));
    await eventually(() => opened).toEqual(["replication", "catch-up"]);
    // As much as may come without anything being written.
    const heldBytes = () => held.reduce((sum, { bytes }) => sum + bytes.length, 0);
    await eventually(heldBytes).toBeGreaterThan(2 * 2 ** 20);
    fetcher.fetch(leaderId, replica(1), fetchFrom(0));
    await tail.promise;
    expect(server.connections).toBe(2);
    expect(heldBytes()).toBeLessThan(4 * 2 ** 20);
  });

  it("bring a partition back to the others once it is near", async () => {
    const serving = createFakeServing(({ fetch, reply }) => {
      const logEnd = 400;
      if (fetch.fetchOffset >= logEnd) return;
      const count = Math.min(10, logEnd - Number(fetch.fetchOffset));
      const batches = Array.from({ length: count }, (_, i) => batchAt(Number(fetch.fetchOffset) + i, 100_000));
      reply(records(batches, { logEnd: BigInt(logEnd) as never }));
    });
    const classes: string[] = [];
    const { endpoint } = await startLeader(serving);
    const done = createDeferred();
    const receiving = createFakeReceiving(({ response, release }) => {
      release();
      if (response.content.kind !== "records") throw new Error("no records");
      const last = Number(response.content.batches.at(-1)?.endOffset);
      fetcher.fetch(leaderId, replica(0), fetchFrom(last));
      if (last === 400) done.resolve();
    });
    const fetcher = startFollower(endpoint, receiving, { onOpen: (_, name) => classes.push(name) });
    fetcher.fetch(leaderId, replica(0), fetchFrom(0));
    await done.promise;
    await eventually(() => serving.fetches.at(-1)?.fetch.fetchOffset).toBe(400n);
    expect(classes).toEqual(["replication", "catch-up"]);
    // It waits at the tail again: a report of it goes where its fetch waits, and the catch-up stream may end.
    fetcher.flushed(leaderId, replica(0), flushedUpTo(400));
    await eventually(() => serving.reports.length).toBe(1);
    expect(serving.fetches.at(-1)?.isCancelled).toBe(false);
  });

  it("refuse what has no answer when the stream breaks, and go on once the leader is back", async () => {
    const serving = createFakeServing();
    const first = await startLeader(serving);
    const receiving = createFakeReceiving();
    const fetcher = startFollower(first.endpoint, receiving);
    for (const partition of [0, 1]) fetcher.fetch(leaderId, replica(partition), fetchFrom(0));
    await eventually(() => serving.fetches.length).toBe(2);
    await first.server.stop(0);
    await eventually(() => receiving.responses.length).toBe(2);
    expect(receiving.responses.map(({ response }) => response.content)).toEqual([
      { kind: "refused", reason: "NOT_LEADER" },
      { kind: "refused", reason: "NOT_LEADER" },
    ]);
    expect(serving.fetches.every(({ isCancelled }) => isCancelled)).toBe(true);
    // Nobody is there: each fetch is refused, until somebody is.
    fetcher.fetch(leaderId, replica(0), fetchFrom(0, { session: 2 as never }));
    await eventually(() => receiving.responses.length).toBe(3);
    const again = createFakeServing(({ reply }) => reply(nothingNew()));
    await startLeader(again, { port: first.port });
    const asked = () => {
      fetcher.fetch(leaderId, replica(0), fetchFrom(0, { session: 3 as never }));
      return receiving.responses.at(-1)?.response.content.kind;
    };
    await expect.poll(asked, { timeout: 20_000, interval: 100 }).toBe("records");
  });

  it("refuse at once, and not from within the call, where no address of the leader is known", async () => {
    const receiving = createFakeReceiving();
    const fetcher = startFollower(() => undefined, receiving);
    fetcher.fetch(leaderId, replica(0), fetchFrom(0));
    expect(receiving.responses).toEqual([]);
    await eventually(() => receiving.responses.length).toBe(1);
    expect(receiving.responses[0]?.response.content).toEqual({ kind: "refused", reason: "NOT_LEADER" });
  });

  it("follow a leader to another address", async () => {
    const [before, after] = [createFakeServing(), createFakeServing()];
    const [first, second] = [await startLeader(before), await startLeader(after)];
    let { endpoint } = first;
    const receiving = createFakeReceiving();
    const fetcher = startFollower(() => endpoint, receiving);
    fetcher.fetch(leaderId, replica(0), fetchFrom(0));
    await eventually(() => before.fetches.length).toBe(1);
    fetcher.endpointsChanged();
    endpoint = second.endpoint;
    expect(receiving.responses).toEqual([]);
    fetcher.endpointsChanged();
    await eventually(() => receiving.responses.length).toBe(1);
    expect(receiving.responses[0]?.response.content).toEqual({ kind: "refused", reason: "NOT_LEADER" });
    fetcher.fetch(leaderId, replica(0), fetchFrom(0));
    await eventually(() => after.fetches.length).toBe(1);
    await eventually(() => before.fetches[0]?.isCancelled).toBe(true);
  });

  it("end with the process of the leader, and with that of the follower", async () => {
    const serving = createFakeServing();
    const { endpoint, server, defects } = await startLeader(serving);
    const receiving = createFakeReceiving();
    const stays = startFollower(endpoint, receiving);
    const leaves = startFollower(endpoint, createFakeReceiving());
    stays.fetch(leaderId, replica(0), fetchFrom(0));
    leaves.fetch(leaderId, replica(1), fetchFrom(0));
    await eventually(() => serving.fetches.length).toBe(2);
    leaves.stop();
    await eventually(() => serving.fetches.find(({ partition }) => partition === 1)?.isCancelled).toBe(true);
    await server.stop();
    await eventually(() => receiving.responses.length).toBe(1);
    expect(serving.fetches.every(({ isCancelled }) => isCancelled)).toBe(true);
    expect([server.activeCalls, defects]).toEqual([0, []]);
  });

  it("give up a leader that has gone silent", async () => {
    const serving = createFakeServing();
    const { port } = await startLeader(serving);
    const proxy = await createTcpProxy({ target: { port } });
    cleanUp(proxy.close);
    const receiving = createFakeReceiving();
    const keepalive = { timeMs: 20, timeoutMs: 500 };
    const fetcher = startFollower(`127.0.0.1:${proxy.port}`, receiving, { keepalive });
    fetcher.fetch(leaderId, replica(0), fetchFrom(0));
    await eventually(() => serving.fetches.length).toBe(1);
    proxy.forward("toClient", "drop");
    await eventually(() => receiving.responses.map(({ response }) => response.content)).toEqual([
      { kind: "refused", reason: "NOT_LEADER" },
    ]);
  });

  it("forget a follower that vanishes", async () => {
    const serving = createFakeServing();
    const { port, server } = await startLeader(serving);
    const proxy = await createTcpProxy({ target: { port } });
    cleanUp(proxy.close);
    const fetcher = startFollower(`127.0.0.1:${proxy.port}`, createFakeReceiving());
    fetcher.fetch(leaderId, replica(0), fetchFrom(0));
    await eventually(() => serving.fetches.length).toBe(1);
    fetcher.stop();
    proxy.reset();
    await eventually(() => serving.fetches[0]?.isCancelled).toBe(true);
    await eventually(() => server.activeCalls).toBe(0);
  });
});
