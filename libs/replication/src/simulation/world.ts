/** What a simulated cluster is made of. */
import type { BrokerEpoch, BrokerId, Offset } from "@tidemark/ids";
import { assert } from "../assert.ts";
import type { ReplicationGuards } from "../guards.ts";
import type { PartitionInput } from "../inputs.ts";
import type { Acks, Answer, RequestId } from "../outputs.ts";
import type { Partition } from "../partition.ts";
import type { PartitionState } from "../partition-state.ts";
import type { ProducerStamp } from "../producers/producer-batch.ts";
import type { ProducerTable } from "../producers/producer-table.ts";
import type { FetchSessions } from "../replica-messages.ts";
import type { ReplicationSettings } from "../settings.ts";
import type { Message, Network, Node } from "./network.ts";
import type { DiskNumber, SimulatedController } from "./simulated-controller.ts";
import type { SimulatedLog } from "./simulated-log.ts";

export interface SimulatedBroker {
  readonly id: BrokerId;
  /** Counts the processes: connections lead to one of them. */
  run: number;
  brokerEpoch: BrokerEpoch;
  disk: DiskNumber;
  log: SimulatedLog;
  sessions: FetchSessions;
  /** The idempotent producers of its log. */
  producers: ProducerTable;
  /** Undefined while the process is dead. */
  partition: Partition | undefined;
  /** A stopped process: nothing reaches it and it does nothing. */
  paused: boolean;
  /** Monotonic time at which it heard the controller last. */
  controllerHeardMs: number;
}

/** What a client asked, kept until it is answered. */
export type Request =
  | {
      readonly kind: "produce";
      readonly acks: Acks;
      readonly value: number;
      readonly producer: ProducerStamp | undefined;
    }
  | { readonly kind: "fetch"; readonly offset: Offset }
  | { readonly kind: "latest"; readonly atLeast: Offset }
  | { readonly kind: "replica"; readonly replica: BrokerId; readonly run: number };

export interface ClusterOptions {
  readonly state: PartitionState;
  readonly settings: ReplicationSettings;
  readonly guards: ReplicationGuards;
  readonly choose: (count: number) => number;
  /** One line for each thing that happens. */
  readonly onEvent: (text: string) => void;
  /** A client was answered. */
  readonly onAnswer: (broker: SimulatedBroker, answer: Answer, request: Request) => void;
  /** How many batches a fetch answer holds at most. */
  readonly fetchLimit: () => number;
}

export interface SimulatedProduce {
  readonly records: number;
  readonly acks: Acks;
  readonly deadlineMs: number;
  /** Of an idempotent producer: who sends it, and what it sent before under the same sequence. Absent: a batch of its own. */
  readonly idempotent?: { readonly producer: ProducerStamp; readonly value: number };
}

export interface Cluster {
  readonly brokers: readonly SimulatedBroker[];
  readonly controller: SimulatedController;
  readonly network: Network;
  nowMs(): number;
  broker(id: BrokerId): SimulatedBroker;
  /** Gives an input to a running broker. */
  input(broker: SimulatedBroker, input: PartitionInput): void;
  /** A client asks; the answer comes by `onAnswer`. */
  request(broker: SimulatedBroker, request: Request, input: (requestId: RequestId) => PartitionInput): void;
  produce(broker: SimulatedBroker, produce: SimulatedProduce): void;
  deliver(message: Message): void;
  /** True when the process that the message was sent to is there and runs. */
  arrives(message: Message): boolean;
  endFlush(broker: SimulatedBroker, index?: number): void;
  /** Moves time, and gives every running broker its tick. */
  advance(ms: number): void;
  /** Starts a broker for the first time: the metadata knows it already. */
  boot(broker: SimulatedBroker): void;
  start(broker: SimulatedBroker): void;
  kill(broker: SimulatedBroker): void;
  cutPower(broker: SimulatedBroker, keep: Offset): void;
  /**
   * The same process with an empty log in place of a damaged one. With a new broker epoch first, the positions that
   * were told of the old log count no longer, wherever they are on their way to (R2, R10).
   */
  emptyLog(broker: SimulatedBroker, options: { readonly registersFirst: boolean }): void;
  /** Another disk under the same id. The broker has to be dead. */
  replaceDisk(broker: SimulatedBroker): void;
  registerAnew(broker: SimulatedBroker): void;
}

/** The state behind a `Cluster`. */
export interface World {
  readonly options: ClusterOptions;
  readonly brokers: readonly SimulatedBroker[];
  readonly controller: SimulatedController;
  readonly network: Network;
  /** What clients and followers asked and nobody answered yet. */
  readonly requests: Map<RequestId, Request>;
  nowMs: number;
  lastRequest: number;
  lastValue: number;
  lastDisk: number;
}

export function brokerOf(world: Pick<World, "brokers">, id: BrokerId): SimulatedBroker {
  const broker = world.brokers.find((one) => one.id === id);
  assert(broker !== undefined, `broker ${id} exists`);
  return broker;
}

/** The process that a connection made now leads to. */
export function runOf(world: Pick<World, "brokers">, node: Node): number {
  return node === "controller" ? 0 : brokerOf(world, node).run;
}

/** Metadata comes to the process that runs now. */
export function pushMetadata(world: World, broker: SimulatedBroker): void {
  const { controller, network } = world;
  network.send({
    kind: "metadata",
    from: "controller",
    to: broker.id,
    toRun: broker.run,
    state: controller.state(),
    controllerEpoch: controller.epoch(),
  });
}
