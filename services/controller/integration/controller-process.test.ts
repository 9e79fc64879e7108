import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { AdminService } from "@tidemark/proto/admin/v1";
import { MetadataService } from "@tidemark/proto/admin/v1/metadata";
import { ClusterService, MetadataFrame } from "@tidemark/proto/cluster/v1";
import { Reason } from "@tidemark/proto/common/v1";
import { createChannel, createRpcClient } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { afterEach, beforeEach, expect, it } from "vitest";

const runtime = createNodeRuntime();
const program = fileURLToPath(new URL("../src/main.ts", import.meta.url));
let directory: string;
const cleanups: (() => unknown)[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "tidemark-controller-"));
  cleanups.push(() => rm(directory, { recursive: true, force: true }));
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Started {
  readonly process: ChildProcess;
  readonly endpoints: Record<string, string>;
}

function launch(flags: readonly string[] = []): { readonly process: ChildProcess; readonly errors: () => string } {
  const ports = "--listeners=client://127.0.0.1:0,internal://127.0.0.1:0";
  const all = ["--node.id=1", `--metadata.log.dir=${join(directory, "data")}`, ports, ...flags];
  const child = spawn(process.execPath, [program, ...all], { stdio: ["ignore", "pipe", "pipe"], cwd: directory });
  let errors = "";
  child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
  cleanups.push(() => {
    child.kill("SIGKILL");
  });
  return { process: child, errors: () => errors };
}

async function start(flags: readonly string[] = []): Promise<Started> {
  const { process: child, errors } = launch(flags);
  if (child.stdout === null) throw new Error("No standard output");
  for await (const line of createInterface({ input: child.stdout })) {
    const ready = JSON.parse(line) as {
      readonly ready: boolean;
      readonly role: string;
      readonly endpoints: Record<string, string>;
    };
    expect(ready).toMatchObject({ ready: true, role: "controller", id: 1 });
    return { process: child, endpoints: ready.endpoints };
  }
  throw new Error(`The controller ended: ${errors()}`);
}

/** Runs a controller that shall not start; resolves with its exit code and what it said. */
async function refusal(flags: readonly string[]): Promise<{ readonly code: number | null; readonly said: string }> {
  const { process: child, errors } = launch(flags);
  const [code] = (await once(child, "close")) as [number | null];
  return { code, said: errors() };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  const closed = once(child, "exit") as Promise<[number | null]>;
  child.kill(signal);
  return (await closed)[0];
}

function connect({ endpoints }: Started) {
  const open = (name: string) => {
    const channel = createChannel(endpoints[name] ?? "", { trafficClass: "control", runtime });
    cleanups.push(() => channel.close());
    return channel;
  };
  const [client, internal] = [open("client"), open("internal")];
  return {
    admin: createRpcClient(AdminService, client),
    metadata: createRpcClient(MetadataService, client),
    cluster: createRpcClient(ClusterService, internal),
    clusterOnClient: createRpcClient(ClusterService, client),
    async ready() {
      await client.waitForReady(20_000);
      await internal.waitForReady(20_000);
    },
  };
}

const uuid = (letter: string) => `${letter.repeat(8)}-0000-4000-8000-000000000001`;

/** A broker in name: something that listens, and what it says of itself. */
async function fakeBroker() {
  const server = createServer((socket) => socket.destroy());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => {
    server.close();
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    brokerId: 1,
    incarnationId: uuid("e"),
    directoryIds: [uuid("d")],
    endpoints: [{ listener: "internal", host: "127.0.0.1", port }],
  };
}

it("keeps what it said through a kill -9, and goes on in a newer controller epoch", async () => {
  const first = await start(["--metrics.listener=127.0.0.1:0"]);
  const one = connect(first);
  await one.ready();
  const session = await one.cluster.register(await fakeBroker());
  expect(session).toMatchObject({ brokerEpoch: 1, controllerEpoch: 1 });
  const { topic } = await one.admin.createTopic({ topic: "orders", partitions: 3 });
  expect(topic?.partitions.map(({ leader, replicas }) => ({ leader, replicas }))).toEqual(
    Array.from({ length: 3 }, () => ({ leader: 1, replicas: [1] })),
  );
  const metrics = await (await fetch(`http://${first.endpoints["metrics"]}/metrics`)).text();
  expect(metrics).toMatch(/^tidemark_active_controller(\{.*\})? 1$/m);

  await end(first.process, "SIGKILL");
  const second = await start();
  const two = connect(second);
  await two.ready();
  const after = await two.admin.describeTopics({ topics: ["orders"] });
  expect(after.topics).toEqual([topic]);
  const cluster = await two.admin.describeCluster({});
  expect(cluster).toMatchObject({ clusterId: session.clusterId, backend: "single", topics: 1, partitions: 3 });
  expect(cluster.controller).toMatchObject({ id: 1, endpoint: second.endpoints["internal"], controllerEpoch: 2 });

  expect(await end(second.process, "SIGTERM")).toBe(0);
});

it("serves a broker's streams: heartbeats are answered, metadata come as a snapshot and then as they change", async () => {
  const started = await start();
  const client = connect(started);
  await client.ready();
  const { brokerEpoch } = await client.cluster.register(await fakeBroker());
  async function* beats() {
    for (let sequence = 1n; sequence <= 3n; sequence++) yield { brokerId: 1, brokerEpoch, sequence };
  }
  const answered: bigint[] = [];
  for await (const answer of client.cluster.heartbeat(beats())) answered.push(answer.sequence);
  expect(answered).toEqual([1n, 2n, 3n]);

  const seen: string[] = [];
  for await (const { frame, changes } of client.cluster.watchMetadata({ brokerId: 1 })) {
    const keys = changes.map(({ key }) => key);
    const kind = frame === MetadataFrame.DELTA ? "delta" : "snapshot";
    seen.push(`${kind} ${keys.includes("/topics/orders") ? "with" : "without"} the topic`);
    if (seen.length === 2) break;
    await client.admin.createTopic({ topic: "orders" });
  }
  expect(seen).toEqual(["snapshot without the topic", "delta with the topic"]);
  const { entries } = await client.metadata.list({ prefix: "/brokers/" });
  expect(entries.map(({ key }) => key)).toEqual(["/brokers/ids/1", "/brokers/known/1"]);
  await expect(client.clusterOnClient.register({})).rejects.toMatchObject({ reason: Reason.UNSUPPORTED });
});

it("refuses more replicas than brokers run, and takes as many as run where nothing is said", async () => {
  const client = connect(await start());
  await client.ready();
  await client.cluster.register(await fakeBroker());
  await expect(client.admin.createTopic({ topic: "a", replicationFactor: 3 })).rejects.toMatchObject({
    reason: Reason.INVALID_REPLICATION_FACTOR,
  });
  const { topic } = await client.admin.createTopic({ topic: "a" });
  expect(topic?.replicationFactor).toBe(1);
});

it("refuses to start beside another process, for another node, for another cluster, and on a damaged directory", async () => {
  const running = await start(["--cluster.id=blue"]);
  const beside = await refusal([]);
  expect(beside).toMatchObject({ code: 3, said: expect.stringContaining("another process has it") as string });
  await end(running.process, "SIGKILL");
  const cases = [
    [["--node.id=2"], "belongs to controller 1, and this is controller 2"],
    [["--cluster.id=red"], "belongs to the cluster blue, and cluster.id says red"],
  ] as const;
  for (const [flags, said] of cases) {
    expect(await refusal(flags)).toMatchObject({ code: 3, said: expect.stringContaining(said) as string });
  }
  const meta = join(directory, "data", "meta.properties");
  await copyFile(meta, `${meta}.kept`);
  await writeFile(meta, (await readFile(meta, "utf8")).replace("directory.id", "directory"));
  expect(await refusal([])).toMatchObject({ code: 3, said: expect.stringContaining("cannot be read") as string });
  await copyFile(`${meta}.kept`, meta);
  const store = join(directory, "data", "single");
  await rm(store, { recursive: true });
  const emptied = await refusal([]);
  expect(emptied).toMatchObject({ code: 3, said: expect.stringContaining("the store holds no cluster") as string });
});

it("names a wrong setting and a port that is taken", async () => {
  const wrong = await refusal(["--broker.sesion.timeout.ms=1"]);
  expect(wrong).toMatchObject({ code: 2, said: expect.stringContaining("broker.session.timeout.ms") as string });
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => {
    server.close();
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const taken = await refusal([`--listeners=client://127.0.0.1:${port},internal://127.0.0.1:0`]);
  expect(taken).toMatchObject({ code: 3, said: expect.stringContaining(String(port)) as string });
});
