import {
  type BrokerDescription,
  type DescribeClusterResponse,
  Reason,
  reasonName,
  TidemarkError,
} from "@tidemark/client";
import type { Command } from "commander";
import { brokerJson, clientEndpoint, printBrokers } from "../brokers.ts";
import { areOrIs, warningsOf } from "../cluster-warnings.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { counted, print, printJson } from "../output.ts";
import { type Finish, runWithClient, type ServerFlags, type Session, withExample, withServer } from "./command.ts";

/** A process that does not answer within this is taken for down. */
const answerTimeoutMs = 3000;

/** `tidemark cluster describe|health`. */
export function addClusterCommands(program: Command, io: Io, finish: Finish): void {
  const cluster = program.command("cluster").description("the cluster as a whole");
  const describe = cluster.command("describe").description("show the controller, the brokers and what is behind");
  withExample(withServer(describe), "tidemark cluster describe -o json").action(async (flags: ServerFlags) => {
    finish(
      await runWithClient(io, flags, async ({ client, call }) => {
        const described = await client.admin.describeCluster({}, call);
        if (flags.output === "json") printJson(io, jsonOf(described));
        else printCluster(io, described);
        return exitCodes.done;
      }),
    );
  });
  const health = cluster
    .command("health")
    .description("end with 0 only if controller, brokers and gateway answer and every partition has a leader");
  withExample(withServer(health), "tidemark cluster health && echo ready").action(async (flags: ServerFlags) => {
    finish(await runWithClient(io, flags, (session) => checkHealth(io, flags, session)));
  });
}

/** One process and whether it answers. `problem`: why it does not count as healthy; absent where it does. */
interface Checked {
  readonly process: string;
  readonly endpoint: string;
  readonly problem?: string;
}

async function checkHealth(io: Io, flags: ServerFlags, session: Session): Promise<number> {
  const { client, settings, call } = session;
  const options = { ...call, timeoutMs: answerTimeoutMs };
  const server = await checked("gateway", settings.server, client.checkHealth(settings.server, options));
  const cluster = await attempt(client.admin.describeCluster({}, options));
  const brokers = cluster.ok
    ? await Promise.all(cluster.value.brokers.map((broker) => checkBroker(broker, session)))
    : [];
  const controllers = cluster.ok ? await otherControllers(session, cluster.value.controller?.id) : [];
  const processes = [server, controllerOf(cluster), ...controllers, ...brokers];
  const problems = processes.flatMap(({ process, problem }) =>
    problem === undefined ? [] : [`${process}: ${problem}`],
  );
  if (cluster.ok) {
    const { offlinePartitions, regressedPartitions, brokers: known } = cluster.value;
    if (known.length === 0) problems.push("no broker has registered yet");
    if (offlinePartitions > 0)
      problems.push(`${counted(offlinePartitions, "partition")} ${offlinePartitions === 1 ? "has" : "have"} no leader`);
    if (regressedPartitions > 0) {
      const which = areOrIs(regressedPartitions, "behind what replicas hold in the metadata");
      problems.push(
        `${which}: \`tidemark topic describe --unavailable\`, then \`partition elect --election-type unclean\``,
      );
    }
  }
  const warnings = cluster.ok ? warningsOf(cluster.value) : [];
  if (flags.output === "json") {
    const { offlinePartitions, underReplicatedPartitions, underMinIsrPartitions, regressedPartitions } = cluster.ok
      ? cluster.value
      : unknownPartitions;
    const partitions = { offlinePartitions, underReplicatedPartitions, underMinIsrPartitions, regressedPartitions };
    printJson(io, { healthy: problems.length === 0, processes, ...partitions, problems, warnings });
  } else {
    for (const { process, endpoint, problem } of processes) {
      print(io, `${process.padEnd(13)} ${endpoint.padEnd(22)} ${problem === undefined ? "answers" : problem}`);
    }
    for (const warning of warnings) print(io, `${warning}.`);
    print(
      io,
      problems.length === 0 ? "The cluster is healthy." : `The cluster is not healthy: ${problems.join("; ")}.`,
    );
  }
  return problems.length === 0 ? exitCodes.done : exitCodes.failed;
}

const unknownPartitions = {
  offlinePartitions: null,
  underReplicatedPartitions: null,
  underMinIsrPartitions: null,
  regressedPartitions: null,
};

type Attempt<Value> = { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly problem: string };

async function attempt<Value>(work: Promise<Value>): Promise<Attempt<Value>> {
  try {
    return { ok: true, value: await work };
  } catch (error) {
    if (!(error instanceof TidemarkError) || error.reason === Reason.CANCELLED) throw error;
    return { ok: false, problem: problemOf(error) };
  }
}

function problemOf({ reason }: TidemarkError): string {
  switch (reason) {
    case Reason.NOT_CONTROLLER:
      return "none is active";
    case Reason.METADATA_SEALED:
      return "none is active, the metadata are sealed (`tidemark metadata unseal` undoes that if no import was begun)";
    default:
      return `does not answer (${reasonName(reason)})`;
  }
}

async function checked(process: string, endpoint: string, work: Promise<void>): Promise<Checked> {
  const result = await attempt(work);
  return { process, endpoint, ...(result.ok ? {} : { problem: result.problem }) };
}

/** The active controller answered if the description came: gateways pass it on to that one. */
function controllerOf(cluster: Attempt<DescribeClusterResponse>): Checked {
  if (!cluster.ok) return { process: "controller", endpoint: "", problem: cluster.problem };
  const { controller } = cluster.value;
  if (controller === undefined) return { process: "controller", endpoint: "", problem: "none is active" };
  return { process: `controller-${controller.id}`, endpoint: controller.endpoint };
}

/** The members of the controllers' quorum beside the active one, alive or not. Who is nobody's member is not known. */
async function otherControllers({ client, call }: Session, active: number | undefined): Promise<readonly Checked[]> {
  const quorum = await attempt(client.metadata.describeQuorum({}, { ...call, timeoutMs: answerTimeoutMs }));
  if (!quorum.ok) return [];
  return quorum.value.members
    .filter(({ controllerId }) => controllerId !== active)
    .map(({ controllerId, endpoint, alive }) => ({
      process: `controller-${controllerId}`,
      endpoint,
      ...(alive ? {} : { problem: "does not answer the active one" }),
    }));
}

async function checkBroker(broker: BrokerDescription, { client, call }: Session): Promise<Checked> {
  const process = `broker-${broker.brokerId}`;
  const endpoint = clientEndpoint(broker);
  if (!broker.alive) return { process, endpoint, problem: "has no living session with the controller" };
  return checked(process, endpoint, client.checkHealth(endpoint, { ...call, timeoutMs: answerTimeoutMs }));
}

function jsonOf(cluster: DescribeClusterResponse) {
  const { clusterId, controller, backend, revision } = cluster;
  return {
    clusterId,
    backend,
    revision,
    controller:
      controller === undefined
        ? null
        : { id: controller.id, endpoint: controller.endpoint, controllerEpoch: controller.controllerEpoch },
    brokers: cluster.brokers.map(brokerJson),
    topics: cluster.topics,
    partitions: cluster.partitions,
    offlinePartitions: cluster.offlinePartitions,
    underReplicatedPartitions: cluster.underReplicatedPartitions,
    underMinIsrPartitions: cluster.underMinIsrPartitions,
    regressedPartitions: cluster.regressedPartitions,
  };
}

function printCluster(io: Io, cluster: DescribeClusterResponse): void {
  const { controller } = cluster;
  print(io, `Cluster: ${cluster.clusterId}  Backend: ${cluster.backend}  Revision: ${cluster.revision}`);
  print(
    io,
    `Controller: ${controller === undefined ? "none" : `${controller.id} at ${controller.endpoint} (controller epoch ${controller.controllerEpoch})`}`,
  );
  print(
    io,
    `Topics: ${cluster.topics}  Partitions: ${cluster.partitions}  Offline: ${cluster.offlinePartitions}  ` +
      `UnderReplicated: ${cluster.underReplicatedPartitions}  UnderMinIsr: ${cluster.underMinIsrPartitions}`,
  );
  printBrokers(io, cluster.brokers);
}
