/** A standby takes over from a process that is gone before etcd can know, and from no other. */
import { createServer, type Server, type Socket } from "node:net";
import { type Consensus, type ConsensusEvent, createCandidate, type Leadership } from "@tidemark/consensus";
import { controllerEpoch, controllerId, directoryId } from "@tidemark/ids";
import { createNodeRuntime } from "@tidemark/runtime";
import { waitFor } from "@tidemark/testkit";
import { type EtcdProcesses, startEtcd } from "@tidemark/testkit/etcd";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createEtcdLink, etcdMembers, tcpDial } from "../src/index.ts";
import { createFaultyMembers, type FaultyMembers } from "../src/testing/faulty-members.ts";
import { createPausableRuntime } from "../src/testing/pausable-runtime.ts";

const nodeRuntime = createNodeRuntime();
/** Long enough that nobody leads by its expiry in these tests. */
const leaseMs = 30_000;
let etcd: EtcdProcesses;
let prefixes = 0;

beforeAll(async () => {
  etcd = await startEtcd({ members: 1 });
});

afterAll(() => etcd.stop());

interface Controller {
  readonly consensus: Consensus;
  readonly events: readonly ConsensusEvent[];
  belief(): Leadership;
  readonly members: FaultyMembers;
  /** As a process that ends: nothing is sent any more, and the endpoint refuses. */
  die(): Promise<void>;
  /** As a process that is stopped: connections stand, and nobody answers. */
  freeze(): void;
  /** To its endpoint, by others. */
  connections(): number;
  close(): Promise<void>;
}

const controllers: Controller[] = [];
let endpoints: { readonly server: Server; readonly sockets: Set<Socket> }[] = [];

afterEach(async () => {
  for (const controller of controllers.splice(0)) await controller.close();
  for (const { server, sockets } of endpoints) {
    server.close();
    for (const socket of sockets) socket.destroy();
  }
  endpoints = [];
});

async function listen() {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("No port");
  const endpoint = { server, sockets };
  endpoints.push(endpoint);
  return { ...endpoint, endpoint: `127.0.0.1:${address.port}` };
}

async function start(id: number, prefix: string): Promise<Controller> {
  const { server, sockets, endpoint } = await listen();
  const events: ConsensusEvent[] = [];
  const runtime = createPausableRuntime(nodeRuntime);
  const members = createFaultyMembers(
    etcdMembers({ endpoints: etcd.endpoints, clock: runtime.clock, callTimeoutMs: 5_000 }),
    runtime.scheduler,
  );
  const settings = { prefix, leaseMs, renewalMs: 1_000, compaction: undefined };
  const link = createEtcdLink({ members, settings, runtime, onEvent: () => {} });
  const consensus = createCandidate({
    link,
    runtime,
    onEvent: (event) => events.push(event),
    takeover: { dial: tcpDial, graceMs: 300, cooldownMs: leaseMs },
  });
  let belief: Leadership = { kind: "none" };
  let isDead = false;
  const follow = async () => {
    for await (const next of consensus.leadership()) belief = next;
  };
  follow().catch(() => undefined);
  const controller: Controller = {
    consensus,
    events,
    members,
    belief: () => belief,
    async die() {
      members.kill();
      runtime.kill();
      isDead = true;
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.resetAndDestroy();
      await closed;
    },
    freeze: () => members.stall(),
    connections: () => sockets.size,
    async close() {
      members.resume();
      members.heal();
      if (!isDead) await consensus.close();
      link.close();
    },
  };
  controllers.push(controller);
  await consensus.join({
    controllerId: controllerId(id),
    directoryId: directoryId(`00000000-0000-4000-8000-00000000000${id}`),
    endpoint,
  });
  return controller;
}

async function leaderWithStandbys() {
  prefixes += 1;
  const prefix = `/failover/${prefixes}`;
  const leader = await start(1, prefix);
  await waitFor("the first to lead", () => leader.belief().kind === "leading");
  const standbys = [await start(2, prefix), await start(3, prefix)];
  await waitFor("the others to follow", () => standbys.every((standby) => standby.belief().kind === "following"));
  // What they never reached they do not find gone.
  await waitFor("them to be connected to it", () => leader.connections() >= standbys.length);
  return { leader, standbys };
}

const goneIn = (controller: Controller) => controller.events.filter(({ kind }) => kind === "leaderGone");

describe("fast failover", () => {
  it("a standby leads in the place of a process whose endpoint refuses, long before its lease ends", async () => {
    const { leader, standbys } = await leaderWithStandbys();
    await leader.die();
    await waitFor("a standby to lead", () => standbys.some((standby) => standby.belief().kind === "leading"), 10_000);
    expect(standbys.flatMap(goneIn).length).toBeGreaterThan(0);
    await waitFor("the other to follow", () =>
      standbys.every(({ belief }) => belief().kind === "leading" || belief().kind === "following"),
    );
    const epochs = standbys.map(({ belief }) => belief()).map((belief) => (belief.kind === "none" ? 0 : belief.epoch));
    expect(epochs).toEqual([2, 2]);
  });

  it("nobody takes over from a process that is silent, while its lease lasts", async () => {
    const { leader, standbys } = await leaderWithStandbys();
    leader.freeze();
    const [first] = standbys;
    for (let round = 0; round < 100; round++) await first?.consensus.sync(new AbortController().signal);
    expect(standbys.map(({ belief }) => belief().kind)).toEqual(["following", "following"]);
    expect(standbys.flatMap(goneIn)).toEqual([]);
  });

  it("27i an endpoint that refuses though its process lives: it is fenced off, and nothing is lost", async () => {
    const { leader, standbys } = await leaderWithStandbys();
    const [endpoint] = endpoints;
    endpoint?.server.close();
    for (const socket of endpoint?.sockets ?? []) socket.destroy();
    await waitFor("a standby to lead", () => standbys.some((standby) => standby.belief().kind === "leading"), 10_000);
    await waitFor("the old one to see it", () => leader.belief().kind === "following");
    const belief = leader.belief();
    expect(belief).toMatchObject({ epoch: 2 });
    const late = { kind: "put", key: "/test/late", value: new Uint8Array() } as const;
    const outcome = await leader.consensus.append(controllerEpoch(1), [late]);
    expect(outcome).toMatchObject({ kind: "refused", reason: "FENCED" });
  });

  it("a standby that cannot reach etcd itself concludes nothing", async () => {
    const { leader, standbys } = await leaderWithStandbys();
    for (const standby of standbys) standby.members.cut();
    await leader.die();
    const [first, second] = standbys;
    second?.members.heal();
    await waitFor("the other to lead", () => second?.belief().kind === "leading", 10_000);
    expect(first?.belief().kind).not.toBe("leading");
    expect(first === undefined ? [] : goneIn(first)).toEqual([]);
  });
});
