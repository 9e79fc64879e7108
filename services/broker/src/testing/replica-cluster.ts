/** Several brokers' partitions in one process: real tables, logs and machines over memory disks and manual time. */

import { create } from "@bufbuild/protobuf";
import { loadCodecs } from "@tidemark/compression";
import { createMemoryDisk, type MemoryDisk } from "@tidemark/disk";
import { encodeRecords } from "@tidemark/format";
import { type BrokerEpoch, type BrokerId, brokerId, type Revision } from "@tidemark/ids";
import { type LogDirectory, openLogDirectory } from "@tidemark/log";
import { Acks as AckLevels, RecordSchema } from "@tidemark/proto/log/v1";
import { type BatchProducer, decodeRecords, iterateBatches, portableCrc32c } from "@tidemark/record";
import {
  type Acks,
  type AlterPartitionAnswer,
  defaultSettings,
  formatTrace,
  type ProducerSettings,
  type ReplicationSettings,
} from "@tidemark/replication";
import { createManualTime, createSeededRandom, type ManualTime } from "@tidemark/runtime";
import { createLogger } from "@tidemark/telemetry";
import { checkBatches } from "../api/check-batches.ts";
import type { Partition, ProduceOutcome } from "../partition/partition.ts";
import type { PartitionLinks } from "../partition/replica-state.ts";
import { createPartitionTable, type PartitionTable } from "../table/partition-table.ts";
import { createFakeController, type FakeController } from "./fake-controller.ts";
import { type GatedDisk, gateDisk } from "./gated-disk.ts";
import { createInProcessExchange, type InProcessExchange } from "./in-process-exchange.ts";
import { producerBatch } from "./producer-batch.ts";

export const [one, two, three] = [brokerId(1), brokerId(2), brokerId(3)];

export interface ClusterOptions {
  readonly replicas?: readonly BrokerId[];
  readonly minIsr?: number;
  readonly settings?: Partial<ReplicationSettings>;
  /** What brokers remember of idempotent producers. Default: as documented. */
  readonly producers?: ProducerSettings;
  /** Log directories of each broker. Default: one. */
  readonly directories?: number;
  /** Whether brokers say that a directory beside these has failed. Default: no. */
  readonly hasFailedDirectory?: boolean;
}

export interface RunningBroker {
  readonly id: BrokerId;
  readonly table: PartitionTable;
  readonly directories: readonly LogDirectory[];
  /** Of the first directory. */
  readonly disk: GatedDisk;
  partition(): Partition;
}

export interface ReplicaCluster {
  readonly time: ManualTime;
  readonly controller: FakeController;
  readonly exchange: InProcessExchange;
  /** What happened: "broker: event". */
  readonly events: string[];
  readonly logs: string[];
  /** Inputs that machines were given: "broker: kind"; and "broker: due" where one wants to be told the time. */
  readonly steps: string[];
  /** The disk of a broker, which outlives its process. */
  disk(id: BrokerId): MemoryDisk;
  broker(id: BrokerId): RunningBroker;
  /** Starts a broker: opens its logs, registers it, and gives it the metadata. */
  start(id: BrokerId): Promise<RunningBroker>;
  /** The process is gone at once; what was not flushed may be too. */
  crash(id: BrokerId): void;
  stop(id: BrokerId): Promise<void>;
  /** Registers a running broker anew. */
  registerAnew(id: BrokerId): Promise<void>;
  /** Pushes the newest metadata to those brokers, or to all. */
  publish(...to: readonly BrokerId[]): Promise<void>;
  /** Moves time in ticks, and hands out metadata that changed meanwhile. */
  advance(ms: number): Promise<void>;
  /** Advances until it holds. Fails after a minute of cluster time. */
  until(holds: () => boolean): Promise<void>;
  /** Whether the controller is heard. */
  setControllerReachable(isReachable: boolean): void;
  /** What the controller answers to a proposal, in place of what it decided. Undefined: that. */
  onAlter: ((from: BrokerId, answer: AlterPartitionAnswer) => AlterPartitionAnswer | undefined) | undefined;
  /** Whether the controller says yes to those who ask whether they lead. */
  confirms: ((from: BrokerId) => boolean) | undefined;
  produce(at: BrokerId, text: string, acks?: Acks, timeoutMs?: number): Promise<ProduceOutcome>;
  /** As an idempotent producer: one batch. */
  produceAs(at: BrokerId, producer: BatchProducer, ...texts: readonly string[]): Promise<ProduceOutcome>;
  /** The texts in the log of a broker, committed or not. */
  textsAt(id: BrokerId): Promise<readonly string[]>;
}

const tickMs = 50;

function workingIds({ directories }: RunningBroker): readonly string[] {
  return directories.filter(({ failure }) => failure === undefined).map(({ id }) => id);
}

/** What a heartbeat does: a damaged replica, or one whose directory failed, leaves ISR and ELR. */
function tellDamage(controller: FakeController, id: BrokerId, table: PartitionTable): void {
  if (table.damaged().length === 0) return;
  const { isr, elr, leader } = controller.partition();
  if (!isr.includes(id) && !elr.includes(id)) return;
  const [next] = isr.filter((each) => each !== id);
  const rest = { isr: isr.filter((each) => each !== id), elr: elr.filter((each) => each !== id) };
  if (leader === id) controller.elect(next, rest.isr, rest.elr);
  else controller.change(rest);
}

export async function createReplicaCluster(options: ClusterOptions = {}): Promise<ReplicaCluster> {
  const replicas = options.replicas ?? [one, two, three];
  const time = createManualTime();
  const controller = createFakeController({ replicas, minIsr: options.minIsr ?? Math.min(2, replicas.length) });
  const tables = new Map<BrokerId, PartitionTable>();
  const running = new Map<BrokerId, RunningBroker>();
  const disks = new Map<BrokerId, MemoryDisk>();
  const exchange = createInProcessExchange(time, tables);
  const events: string[] = [];
  const logs: string[] = [];
  const steps: string[] = [];
  const { codecs } = await loadCodecs();
  let isReachable = true;
  let heardMs = 0;
  const published = new Map<BrokerId, bigint>();

  const paths = Array.from({ length: options.directories ?? 1 }, (_, index) => `/log${index}`);
  for (const id of replicas) {
    const disk = createMemoryDisk();
    for (const path of paths) await disk.makeDirectory(path);
    await disk.syncDirectory("/");
    disks.set(id, disk);
  }
  const diskOf = (id: BrokerId): MemoryDisk => {
    const disk = disks.get(id);
    if (disk === undefined) throw new Error(`There is no broker ${id}`);
    return disk;
  };
  const brokerAt = (id: BrokerId): RunningBroker => {
    const found = running.get(id);
    if (found === undefined) throw new Error(`Broker ${id} does not run`);
    return found;
  };

  const linksOf = (id: BrokerId): PartitionLinks => ({
    fetcher: exchange.fetcherOf(id),
    alterPartition(_, request, answered) {
      time.scheduler.after(1, () => {
        if (!isReachable || !tables.has(id)) return;
        const decided = controller.alter(id, request);
        const answer = cluster.onAlter === undefined ? decided : cluster.onAlter(id, decided);
        if (answer === undefined) return;
        answered({ kind: "proposalAnswered", attempt: request.attempt, answer, nowMs: time.clock.monotonicMs() });
      });
    },
    confirmLeader(_, { confirmation }, answered) {
      time.scheduler.after(1, () => {
        const leads = cluster.confirms?.(id);
        if (!isReachable || leads === undefined) return;
        answered({ kind: "leadershipConfirmed", confirmation, leads, nowMs: time.clock.monotonicMs() });
      });
    },
  });

  const openBroker = async (id: BrokerId): Promise<RunningBroker> => {
    const gated = paths.map(() => gateDisk(diskOf(id)));
    const disk = gated[0] ?? gateDisk(diskOf(id));
    const runtime = { ...time, random: createSeededRandom(id) };
    const directories: LogDirectory[] = [];
    for (const [index, path] of paths.entries()) {
      directories.push(
        await openLogDirectory({
          path,
          disk: gated[index] ?? disk,
          runtime,
          crc32c: portableCrc32c,
          owner: { clusterId: "c", nodeId: id },
          onFailure: () => undefined,
          createMissing: true,
        }),
      );
    }
    const table = createPartitionTable({
      brokerId: id,
      directories,
      defaults: {
        "log.segment.bytes": 2 ** 20,
        "log.roll.ms": 2 ** 31,
        "log.flush": "sync",
        "log.message.timestamp.type": "CreateTime",
        "message.max.bytes": 64 * 1024,
      },
      replication: { ...defaultSettings, ...options.settings },
      ...(options.producers === undefined ? {} : { producers: options.producers }),
      links: linksOf(id),
      clock: time.clock,
      logger: createLogger({
        clock: time.clock,
        level: "info",
        service: "test",
        instanceId: `${id}`,
        write: (line) => logs.push(line),
      }),
      experiment: {
        onStep: (_, view, input) => {
          steps.push(`${view().self}: ${input.kind}`);
        },
      },
      onDue: () => {
        steps.push(`${id}: due`);
      },
      doAllDirectoriesWork: () => options.hasFailedDirectory !== true,
      onNewEpochNeeded: () => {
        renewals.add(id);
      },
      onTrace: (_, event) => events.push(`${id}: ${formatTrace(event)}`),
    });
    return {
      id,
      table,
      directories,
      disk,
      partition: () => table.findHeld({ topic: "t", topicId: "", partition: 0 }),
    };
  };
  const renewals = new Set<BrokerId>();

  const publishTo = async (id: BrokerId): Promise<void> => {
    published.set(id, controller.revision);
    await tables.get(id)?.apply(controller.update());
  };

  const append = (
    at: BrokerId,
    bytes: Uint8Array,
    { acks, timeoutMs }: { readonly acks: Acks; readonly timeoutMs: number },
  ): Promise<ProduceOutcome> =>
    new Promise((settle) => {
      const partition = brokerAt(at).partition();
      const rules = { settings: partition.settings, codecs, acks: AckLevels.ALL };
      const batches = checkBatches(bytes, { topic: "t", partition: 0 }, rules);
      partition.produce({ batches, acks, deadlineMs: time.clock.monotonicMs() + timeoutMs, settle });
    });

  const cluster: ReplicaCluster = {
    time,
    controller,
    exchange,
    events,
    logs,
    steps,
    onAlter: undefined,
    confirms: undefined,
    disk: diskOf,
    broker: brokerAt,
    async start(id) {
      const broker = await openBroker(id);
      await broker.table.openListed(controller.update());
      const { brokerEpoch, revision } = controller.register(id, workingIds(broker));
      running.set(id, broker);
      tables.set(id, broker.table);
      broker.table.registered({
        ...controller.update(),
        brokerEpoch: brokerEpoch as BrokerEpoch,
        revision: revision as Revision,
      });
      for (const each of tables.keys()) await publishTo(each);
      return broker;
    },
    crash(id) {
      running.delete(id);
      tables.delete(id);
      diskOf(id).powerCut();
    },
    async stop(id) {
      const { table, directories } = brokerAt(id);
      tables.delete(id);
      running.delete(id);
      await table.close();
      for (const directory of directories) await directory.close();
    },
    async registerAnew(id) {
      const broker = brokerAt(id);
      const { table } = broker;
      const { brokerEpoch, revision } = controller.register(id, workingIds(broker));
      table.registered({
        ...controller.update(),
        brokerEpoch: brokerEpoch as BrokerEpoch,
        revision: revision as Revision,
      });
      await cluster.publish();
    },
    async publish(...to) {
      for (const id of to.length > 0 ? to : tables.keys()) await publishTo(id);
    },
    async advance(ms) {
      for (let passed = 0; passed < ms; passed += tickMs) {
        await time.advance(Math.min(tickMs, ms - passed));
        if (isReachable) heardMs = time.clock.monotonicMs();
        for (const [id, table] of tables) {
          table.tick(heardMs);
          if (!isReachable) continue;
          tellDamage(controller, id, table);
          if (renewals.delete(id)) await cluster.registerAnew(id);
          if (published.get(id) !== controller.revision) await publishTo(id);
        }
      }
    },
    async until(holds) {
      for (let passed = 0; !holds(); passed += 5) {
        if (passed > 60_000) throw new Error(`It never held. What happened:\n${events.slice(-40).join("\n")}`);
        if (passed % tickMs === 0) await cluster.advance(5);
        else await time.advance(5);
      }
    },
    setControllerReachable(reachable) {
      isReachable = reachable;
    },
    produce(at, text, acks = "all", timeoutMs = 30_000) {
      const encoded = encodeRecords([create(RecordSchema, { valueForm: { case: "text", value: text } })], {
        nowMs: 1,
        crc32c: portableCrc32c,
      });
      if (encoded.kind !== "ok") throw new Error(encoded.message);
      return append(at, encoded.batch, { acks, timeoutMs });
    },
    produceAs: (at, producer, ...texts) =>
      append(at, producerBatch(producer, ...texts), { acks: "all", timeoutMs: 30_000 }),
    async textsAt(id) {
      const { log } = brokerAt(id).partition();
      const texts: string[] = [];
      let from = log.logStartOffset;
      while (from < log.writtenOffset) {
        const { bytes, nextOffset } = await log.read(from, { maxBytes: 2 ** 20 });
        for (const step of iterateBatches(bytes)) {
          if (step.kind !== "ok") break;
          const decoded = decodeRecords(bytes, step.header, { codecs: {}, maxDecompressedBytes: 0 });
          if (decoded.kind === "failed") throw new Error(decoded.reason);
          for (const record of decoded.records) texts.push(new TextDecoder().decode(record.value ?? undefined));
        }
        from = nextOffset;
      }
      return texts;
    },
  };
  for (const id of replicas) await cluster.start(id);
  return cluster;
}
