/**
 * The cluster of compose/raft.yaml, process by process replaced while somebody produces: the next one goes when the probes
 * of the Kubernetes manifests take the one before for ready, which is all that a kubelet knows.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { type Client, createClient, type RecordOutcome } from "@tidemark/client";
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "@tidemark/proto/grpc/health/v1";
import { createRpcClient, grpcTransport } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { runProgram, waitFor } from "@tidemark/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  composeProcesses,
  type GrpcProbe,
  kubernetesResources,
  type ManifestProcess,
  podOf,
  workloadIn,
} from "../src/manifests.ts";
import { type Packed, packAll } from "../src/packed.ts";
import { environmentHere, type Place, placeFor, type Running, startProgram } from "../src/running.ts";

const processes = composeProcesses("raft");
const named = (role: ManifestProcess["role"]) => processes.filter((each) => each.role === role);
const topic = "orders";
let packed: Packed;
let place: Place;
let client: Client;
const running = new Map<string, Running>();

async function start(each: ManifestProcess): Promise<void> {
  const env = environmentHere(each, place);
  running.set(each.name, await startProgram([packed.node, packed.main(each.role)], { env }));
}

const tidemark = (args: readonly string[]) => runProgram(packed.node, [packed.main("cli"), ...args]);

beforeAll(async () => {
  packed = packAll();
  place = await placeFor(processes, join(packed.folder, "data"));
  const at = (name: string) => place.addresses.get(`${name}:4651`) ?? "";
  const controllers = named("controller");
  const plan = await tidemark([
    "format",
    "plan",
    ...controllers.map(({ name }, k) => `${k + 1}@${at(name)}`),
    "-o",
    "json",
  ]);
  const { clusterId, list } = JSON.parse(plan.stdout.toString()) as { clusterId: string; list: string };
  for (const [k, each] of controllers.entries()) {
    const { TIDEMARK_METADATA_LOG_DIR: dir = "" } = environmentHere(each, place);
    const ids = [`--node-id=${k + 1}`, `--cluster-id=${clusterId}`, `--voters=${list}`];
    expect(await tidemark(["format", `--dir=${dir}`, ...ids])).toMatchObject({ code: 0 });
  }
  // None of them is ready before most of them run.
  await Promise.all(controllers.map(start));
  for (const each of [...named("broker"), ...named("gateway")]) await start(each);
  client = await createClient({ bootstrap: place.addresses.get("gateway-2:4640") ?? "" });
  await client.admin.createTopic({ topic, partitions: 4, replicationFactor: 3 });
});

afterAll(async () => {
  client.close();
  for (const each of running.values()) await each.kill();
  rmSync(packed.folder, { recursive: true });
});

/** Asks once, as a kubelet does: over a connection of its own, and only one answer is good. */
async function doesServe(name: string, { port, service = "" }: GrpcProbe): Promise<boolean> {
  const endpoint = place.addresses.get(`${name}:${port}`) ?? "";
  const channel = grpcTransport.createChannel(endpoint, { runtime: createNodeRuntime(), trafficClass: "admin" });
  try {
    const { status } = await createRpcClient(Health, channel).check({ service });
    return status === ServingStatus.SERVING;
  } catch {
    return false;
  } finally {
    channel.close();
  }
}

/** Waits until the probes of a process's pod would take it for started, and then for ready. */
async function becomesReady({ name, role }: ManifestProcess): Promise<void> {
  const [container] = podOf(workloadIn(kubernetesResources(`base/${role}.yaml`), role)).containers;
  const { startupProbe, readinessProbe } = container ?? {};
  if (startupProbe === undefined || readinessProbe === undefined) throw new Error(`A ${role} has no probes`);
  await waitFor(`${name} to have started`, () => doesServe(name, startupProbe.grpc));
  await waitFor(`${name} to be ready`, () => doesServe(name, readinessProbe.grpc));
}

/** The smallest ISR of the topic's partitions. */
async function smallestIsr(): Promise<number> {
  const { topics } = await client.admin.describeTopics({ topics: [topic] });
  return Math.min(...topics.flatMap(({ partitions }) => partitions.map(({ isr }) => isr.length)));
}

test("no ack is lost and no partition falls below its min ISR while every process is replaced", async () => {
  const isFull = () => waitFor("every replica to be in sync", async () => (await smallestIsr()) === 3);
  await isFull();
  const producer = client.createProducer();
  const outcomes: Promise<RecordOutcome>[] = [];
  const seen: number[] = [];
  const over = new AbortController();
  const produced = (async () => {
    for (let n = 0; !over.signal.aborted; n++) {
      outcomes.push(producer.send(topic, { value: Buffer.from(String(n)), partition: n % 4 }));
      await producer.flush();
    }
  })();
  const watched = (async () => {
    while (!over.signal.aborted) {
      // A controller that just left answers nobody; the next look will.
      const isr = await smallestIsr().catch(() => undefined);
      if (isr !== undefined) seen.push(isr);
    }
  })();

  for (const each of [...named("controller"), ...named("broker"), ...named("gateway").slice(0, 1)]) {
    expect(await running.get(each.name)?.stop(), running.get(each.name)?.output()).toBe(0);
    await start(each);
    await becomesReady(each);
  }
  await isFull();
  over.abort();
  await Promise.all([produced, watched]);
  await producer.close();

  const kinds = new Set((await Promise.all(outcomes)).map(({ kind }) => kind));
  expect(kinds).toEqual(new Set(["acknowledged"]));
  expect(outcomes.length).toBeGreaterThan(100);
  // One was away, as was seen, and never two.
  expect(Math.min(...seen)).toBe(2);
});
