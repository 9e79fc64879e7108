import { TidemarkError } from "@tidemark/client";
import { ClusterService } from "@tidemark/proto/cluster/v1";
import { Reason } from "@tidemark/proto/common/v1";
import { LogService } from "@tidemark/proto/log/v1";
import { ReplicaService } from "@tidemark/proto/replica/v1";
import type { CodecName } from "@tidemark/record";
import { createChannelPool, createRpcClient } from "@tidemark/rpc";
import { delay, pick, type Random } from "@tidemark/runtime";
import type { Violations } from "../checks/violations.ts";
import type { SimClient } from "../cluster/cluster.ts";
import { operatorActions } from "./operator-actions.ts";
import type { OperatorContext } from "./operator-context.ts";
import { createSideTopics, type SideTopic, type SideTopics } from "./side-topics.ts";
import type { Task } from "./task.ts";

/** What an operator does while the workload runs. */
export interface OperatorPlan {
  /** The endpoint of the gateway that it calls, host:port. */
  readonly bootstrap: string;
  /** Client endpoints of gateways and brokers, where it reads and writes. */
  readonly logs: readonly string[];
  /** The topic of the workload: it is described and its leaders are elected, and nothing else. */
  readonly topic: string;
  readonly replicationFactor: number;
  /** Internal endpoints of the brokers and of the controllers, host:port: what is said there by nobody else is refused. */
  readonly brokers: readonly string[];
  readonly controllers: readonly string[];
  /** Mean pause between two commands, in milliseconds. */
  readonly pauseMs: number;
}

export interface OperatorTask extends Task {
  readonly sideTopics: SideTopics;
}

const codecs: readonly (CodecName | undefined)[] = [undefined, "gzip", "snappy", "lz4", "zstd"];

/** How long one command may take, in milliseconds. */
const commandMs = 8000;

/**
 * Gives commands until it is told to stop: makes topics, feeds, alters, grows, cuts and deletes them, elects leaders, and
 * asks everything that can be asked. A command may fail, as the cluster is in trouble, but never by a defect.
 */
export function startOperator(
  client: SimClient,
  plan: OperatorPlan,
  of: { readonly random: Random; readonly violations: Violations },
): OperatorTask {
  const { random, violations } = of;
  const { scheduler } = client.process.runtime;
  const stopping = new AbortController();
  const sideTopics = createSideTopics(violations);
  const pool = createChannelPool({ runtime: client.process.runtime, transport: client.transport });
  const timing = { lingerMs: 0, deliveryTimeoutMs: commandMs, requestTimeoutMs: 2000 };
  const producers = codecs.map((compression) =>
    client.client.createProducer(compression === undefined ? timing : { ...timing, compression }),
  );
  const [uncompressed = client.client.createProducer(timing)] = producers;
  let now = "nothing";
  let made = 0;
  const context: OperatorContext = {
    admin: client.client.admin,
    log: client.client.log,
    metadata: client.client.metadata,
    producer: () => pick(random, producers) ?? uncompressed,
    anyLog: () => createRpcClient(LogService, pool.get(pick(random, plan.logs) ?? "", "fetch")),
    replica: () => createRpcClient(ReplicaService, pool.get(pick(random, plan.brokers) ?? "", "admin")),
    cluster: () => createRpcClient(ClusterService, pool.get(pick(random, plan.controllers) ?? "", "admin")),
    random,
    plan,
    sideTopics,
    options: { timeoutMs: commandMs, signal: stopping.signal },
    pickTopic: () => pick<SideTopic>(random, sideTopics.all),
    nextNumber: () => ++made,
    wallMs: () => client.process.runtime.clock.wallMs(),
    reportCarriedOut: (name) => violations.report("a command was carried out that is wrong", name),
  };
  const excuse = (error: unknown) => {
    if (error instanceof TidemarkError && error.reason !== Reason.INTERNAL) return;
    violations.report("a command met a defect", `${now}: ${String(error)}`);
  };
  const pause = () =>
    delay(scheduler, -Math.log(1 - random.next()) * plan.pauseMs, stopping.signal).catch(() => undefined);
  const command = async () => {
    while (!stopping.signal.aborted) {
      const [name, action] = pick(random, operatorActions) ?? ["nothing", async () => undefined];
      now = name;
      await action(context).catch(excuse);
      now = "nothing";
      await pause();
    }
  };
  const watch = async () => {
    while (!stopping.signal.aborted) {
      const events = client.client.admin.watchEvents({}, { signal: stopping.signal });
      const follow = async () => {
        for await (const { event } of events) if (event.case === undefined) throw new Error("an event says nothing");
      };
      await follow().catch(excuse);
      await pause();
    }
  };
  const run = async () => {
    await Promise.all([command(), watch()]);
    await Promise.all(producers.map((producer) => producer.close()));
  };
  return {
    name: client.name,
    sideTopics,
    ended: run(),
    stop: () => stopping.abort(),
    waitsFor: () => `is at ${now}`,
  };
}
