/**
 * Scripts: a text file of commands, and under each block the typed events that it causes.
 *
 *     # A comment, kept as it is.
 *     produce at=1 records=10 acks=all
 *     ----
 *     1: appended 0..10
 *
 * | command                                   | does                                                                   |
 * |-------------------------------------------|------------------------------------------------------------------------|
 * | log N batches=4@0..10,5@10..12 flushed=10 hw=8 | gives broker N a log: leader epoch, offsets; before `partition`   |
 * | partition replicas= isr= leader= leader-epoch= min-isr= [paused=] [hold-flush=] | starts every replica             |
 * | produce at= records= acks= [producer=ID:EPOCH:SEQUENCE] | a client produces, as an idempotent producer             |
 * | consume at= offset= [seen=] [last=] [linearizable] | a client fetches, waiting 500 ms at most                      |
 * | latest at= [seen=] [linearizable]         | a client asks for the high watermark                                   |
 * | advance MS                                | moves time, in steps of 500 ms at most                                 |
 * | pause N, resume N                         | stops the process and lets it run on                                   |
 * | hold A -> B, deliver A -> B               | keeps messages of a link; delivers them and lets it run                |
 * | deliver-newest A -> B                     | delivers what was sent last; the link stays held                       |
 * | lose A -> B, double A -> B                | loses, or doubles, what is held; the link stays held                   |
 * | cut A -> B, heal                          | loses what is sent on a link; mends all cuts                           |
 * | hold-flush N, flush N [INDEX], release-flush N | keeps flushes out; ends one; ends all                              |
 * | kill N, power-cut N [keep=], start N      | ends a process; with the power; starts it (registration included)      |
 * | new-disk N, empty-log N [registered]      | another disk for a dead broker; an empty log for a running one         |
 * | damage N to=                              | cuts the log of a dead broker below what was flushed                   |
 * | log-start at= offset=, fail N, resign N   | moves the log start; the log directory fails; leadership is given up   |
 * | end-session N..., fence N, unfence N, stopping N, register N | the controller's view of brokers                    |
 * | min-isr K, move-leader N, elect-unclean N [above=], restart-controller | the controller's decisions         |
 * | not-attempted                             | the controller drops the next proposal before any write                |
 * | forge-answer at= isr= partition-epoch=    | a success of an older partition epoch arrives                          |
 * | lag-records K                             | sets replica.lag.records.max                                           |
 * | status                                    | one line for each running replica                                      |
 * | explain at= offset=                       | why an offset is not committed                                         |
 */
import type { BrokerId, LeaderEpoch, Offset, PartitionEpoch } from "@tidemark/ids";
import { assert } from "../assert.ts";
import type { ProposalAttempt } from "../controller-messages.ts";
import { explainOffset } from "../explain-offset.ts";
import { allGuards } from "../guards.ts";
import type { Acks, Answer } from "../outputs.ts";
import type { PartitionState } from "../partition-state.ts";
import type { ProducerStamp } from "../producers/producer-batch.ts";
import { defaultSettings } from "../settings.ts";
import { createCluster } from "./cluster.ts";
import type { Node } from "./network.ts";
import { damageLog, type SimulatedLog } from "./simulated-log.ts";
import type { Cluster, Request, SimulatedBroker } from "./world.ts";

/** Runs a script and returns its text with the events that really happened. */
export function runScript(text: string): string {
  const blocks = text.trim().split(/\n\n+/);
  const runner = createRunner();
  return `${blocks.map((block) => runBlock(runner, block)).join("\n\n")}\n`;
}

interface Runner {
  run(command: string): void;
  takeEvents(): readonly string[];
}

function runBlock(runner: Runner, block: string): string {
  const lines = block.split("\n");
  const end = lines.indexOf("----");
  const commands = end < 0 ? lines : lines.slice(0, end);
  for (const line of commands) if (!line.startsWith("#")) runner.run(line);
  const events = runner.takeEvents();
  return [...commands, ...(events.length > 0 ? ["----", ...events] : [])].join("\n");
}

interface World {
  cluster: Cluster | undefined;
  readonly logs: Map<number, string>;
  readonly heldFlushes: Set<BrokerId>;
  settings: typeof defaultSettings;
  readonly events: string[];
}

function createRunner(): Runner {
  const world: World = {
    cluster: undefined,
    logs: new Map(),
    heldFlushes: new Set(),
    settings: defaultSettings,
    events: [],
  };
  return {
    run(line) {
      const command = parseCommand(line);
      if (command.name === "log") world.logs.set(Number(command.words[0]), line);
      else if (command.name === "lag-records") {
        world.settings = { ...world.settings, lagRecordsMax: Number(command.words[0]) };
      } else if (command.name === "partition") startPartition(world, command);
      else {
        const { cluster } = world;
        assert(cluster !== undefined, "a script begins with its partition");
        const perform = commands[command.name];
        assert(perform !== undefined, `the command ${command.name} exists`);
        perform(cluster, command, world);
        settle(world, cluster);
      }
    },
    takeEvents: () => world.events.splice(0),
  };
}

interface Command {
  readonly name: string;
  readonly words: readonly string[];
  readonly values: ReadonlyMap<string, string>;
}

function parseCommand(line: string): Command {
  const [name = "", ...rest] = line.trim().split(/\s+/);
  const values = new Map<string, string>();
  const words: string[] = [];
  for (const part of rest) {
    const [key = "", value] = part.split("=");
    if (value === undefined) words.push(part);
    else values.set(key, value);
  }
  return { name, words, values };
}

function startPartition(world: World, command: Command): void {
  const state: PartitionState = {
    replicas: idsOf(valueOf(command, "replicas")),
    isr: idsOf(valueOf(command, "isr")),
    elr: idsOf(command.values.get("elr") ?? "()"),
    minIsr: Number(valueOf(command, "min-isr")),
    leader: Number(valueOf(command, "leader")) as BrokerId,
    leaderEpoch: Number(valueOf(command, "leader-epoch")) as LeaderEpoch,
    partitionEpoch: 0 as PartitionEpoch,
    recovering: false,
  };
  const cluster = createCluster({
    state,
    settings: world.settings,
    guards: allGuards,
    choose: () => 0,
    onEvent: (text) => {
      world.events.push(text);
    },
    onAnswer: (broker, answer, request) => {
      tellAnswer(world, broker, answer, request);
    },
    fetchLimit: () => 1000,
  });
  world.cluster = cluster;
  for (const id of idsOf(command.values.get("hold-flush") ?? "")) world.heldFlushes.add(id);
  for (const broker of cluster.brokers) {
    const line = world.logs.get(broker.id);
    if (line !== undefined) fillLog(broker.log, parseCommand(line));
    cluster.boot(broker);
    broker.paused = idsOf(command.values.get("paused") ?? "").includes(broker.id);
  }
  settle(world, cluster);
}

function fillLog(log: SimulatedLog, command: Command): void {
  let value = -1;
  for (const batch of valueOf(command, "batches").split(",")) {
    const [epoch = "", base = "", end = ""] = batch.split(/@|\.\./);
    const leaderEpoch = Number(epoch) as LeaderEpoch;
    const baseOffset = BigInt(base) as Offset;
    const endOffset = BigInt(end) as Offset;
    if (log.epochs.at(-1)?.leaderEpoch !== leaderEpoch) log.epochs.push({ leaderEpoch, startOffset: baseOffset });
    if (endOffset > baseOffset) log.batches.push({ leaderEpoch, baseOffset, endOffset, value: value-- });
    log.end = endOffset;
  }
  log.start = log.batches[0]?.baseOffset ?? log.end;
  log.durable = BigInt(command.values.get("flushed") ?? log.end) as Offset;
  log.checkpoint = BigInt(command.values.get("hw") ?? log.start) as Offset;
}

/** Ends every flush and delivers every message that nothing holds back, until nothing is left to do. */
function settle(world: World, cluster: Cluster): void {
  for (let turn = 0; turn < 10_000; turn++) {
    const flushing = cluster.brokers.find(
      (broker) => broker.log.flushes.length > 0 && runs(broker) && !world.heldFlushes.has(broker.id),
    );
    if (flushing !== undefined) {
      cluster.endFlush(flushing);
      continue;
    }
    const message = cluster.network.next((one) => cluster.arrives(one));
    if (message === undefined) return;
    cluster.deliver(message);
  }
  assert(false, "a script comes to rest");
}

function runs(broker: SimulatedBroker): boolean {
  return broker.partition !== undefined && !broker.paused;
}

const commands: Record<string, (cluster: Cluster, command: Command, world: World) => void> = {
  produce: (cluster, command) => {
    const records = Number(valueOf(command, "records"));
    const acks = valueOf(command, "acks") as Acks;
    const producer = producerOf(command, records);
    cluster.produce(at(cluster, command), {
      records,
      acks,
      deadlineMs: cluster.nowMs() + 30_000,
      ...(producer === undefined ? {} : { idempotent: { producer, value: producer.baseSequence } }),
    });
  },
  consume: (cluster, command) => {
    const offset = BigInt(valueOf(command, "offset")) as Offset;
    const nowMs = cluster.nowMs();
    cluster.request(at(cluster, command), { kind: "fetch", offset }, (requestId) => ({
      kind: "consumerFetch",
      requestId,
      offset,
      seenLeaderEpoch: epochOf(command, "seen"),
      lastReadEpoch: epochOf(command, "last"),
      linearizable: command.words.includes("linearizable"),
      deadlineMs: nowMs + 500,
      nowMs,
    }));
  },
  latest: (cluster, command) => {
    const nowMs = cluster.nowMs();
    cluster.request(at(cluster, command), { kind: "latest", atLeast: 0n as Offset }, (requestId) => ({
      kind: "latestOffset",
      requestId,
      seenLeaderEpoch: epochOf(command, "seen"),
      linearizable: command.words.includes("linearizable"),
      deadlineMs: nowMs + 500,
      nowMs,
    }));
  },
  advance: (cluster, command, world) => {
    for (let left = Number(command.words[0]); left > 0; left -= 500) {
      cluster.advance(Math.min(left, 500));
      settle(world, cluster);
    }
  },
  pause: (cluster, command) => {
    named(cluster, command).paused = true;
  },
  resume: (cluster, command) => {
    named(cluster, command).paused = false;
  },
  hold: (cluster, command) => {
    cluster.network.hold(...linkOf(command));
  },
  deliver: (cluster, command) => {
    cluster.network.release(...linkOf(command));
  },
  lose: (cluster, command) => {
    cluster.network.take(...linkOf(command));
  },
  double: (cluster, command) => {
    const messages = cluster.network.take(...linkOf(command));
    for (const message of [...messages, ...messages]) cluster.network.send(message);
  },
  "deliver-newest": (cluster, command) => {
    const [from, to] = linkOf(command);
    const messages = cluster.network.take(from, to);
    for (const message of messages.slice(0, -1)) cluster.network.send(message);
    const newest = messages.at(-1);
    assert(newest !== undefined, "something is held on the link");
    cluster.deliver(newest);
  },
  cut: (cluster, command) => {
    cluster.network.cut(...linkOf(command));
  },
  heal: (cluster) => {
    cluster.network.heal();
  },
  "hold-flush": (cluster, command, world) => {
    world.heldFlushes.add(named(cluster, command).id);
  },
  flush: (cluster, command) => {
    cluster.endFlush(named(cluster, command), Number(command.words[1] ?? 0));
  },
  "release-flush": (cluster, command, world) => {
    world.heldFlushes.delete(named(cluster, command).id);
  },
  kill: (cluster, command) => {
    cluster.kill(named(cluster, command));
  },
  "power-cut": (cluster, command) => {
    cluster.cutPower(named(cluster, command), BigInt(command.values.get("keep") ?? 0) as Offset);
  },
  start: (cluster, command) => {
    cluster.start(named(cluster, command));
  },
  "new-disk": (cluster, command) => {
    cluster.replaceDisk(named(cluster, command));
  },
  damage: (cluster, command) => {
    damageLog(named(cluster, command).log, BigInt(valueOf(command, "to")) as Offset);
  },
  "log-start": (cluster, command) => {
    const logStart = BigInt(valueOf(command, "offset")) as Offset;
    cluster.input(at(cluster, command), { kind: "logStartAdvanced", logStart });
  },
  fail: (cluster, command) => {
    cluster.input(named(cluster, command), { kind: "logFailed", reason: "flush failed" });
  },
  resign: (cluster, command) => {
    cluster.input(named(cluster, command), { kind: "resign", reason: "controlled shutdown" });
  },
  "empty-log": (cluster, command) => {
    cluster.emptyLog(named(cluster, command), { registersFirst: command.words.includes("registered") });
  },
  "end-session": (cluster, command) => {
    cluster.controller.endSessions(command.words.map((word) => Number(word) as BrokerId));
  },
  fence: (cluster, command) => {
    cluster.controller.setFenced(named(cluster, command).id, true);
  },
  unfence: (cluster, command) => {
    cluster.controller.setFenced(named(cluster, command).id, false);
  },
  stopping: (cluster, command) => {
    cluster.controller.setStopping(named(cluster, command).id);
  },
  register: (cluster, command) => {
    cluster.registerAnew(named(cluster, command));
  },
  "min-isr": (cluster, command) => {
    cluster.controller.setMinIsr(Number(command.words[0]));
  },
  "move-leader": (cluster, command) => {
    assert(cluster.controller.moveLeader(named(cluster, command).id), "the new leader is a live ISR member");
  },
  "elect-unclean": (cluster, command) => {
    const above = command.values.get("above");
    cluster.controller.electUnclean(
      named(cluster, command).id,
      above === undefined ? undefined : (Number(above) as LeaderEpoch),
    );
  },
  "restart-controller": (cluster) => {
    cluster.controller.restart();
  },
  "not-attempted": (cluster) => {
    cluster.controller.dropNext();
  },
  "forge-answer": (cluster, command) => {
    const { controller } = cluster;
    const isr = idsOf(valueOf(command, "isr"));
    const partitionEpoch = Number(valueOf(command, "partition-epoch")) as PartitionEpoch;
    const answer = {
      kind: "applied",
      controllerEpoch: controller.epoch(),
      state: { ...controller.state(), isr, partitionEpoch },
    } as const;
    cluster.input(at(cluster, command), {
      kind: "proposalAnswered",
      attempt: 1 as ProposalAttempt,
      answer,
      nowMs: cluster.nowMs(),
    });
  },
  status: (cluster, _, world) => {
    for (const broker of cluster.brokers) {
      const view = broker.partition?.view(cluster.nowMs());
      if (view === undefined) continue;
      const epochs = view.leaderEpochs.map((entry) => `${entry.leaderEpoch}@${entry.startOffset}`).join(",");
      const maximal = view.leadership === undefined ? "" : ` maximal-isr=(${view.leadership.maximalIsr.join(",")})`;
      world.events.push(
        `${broker.id}: ${view.role} log=${view.logStart}..${view.logEnd} flushed=${view.flushed} high-watermark=${view.highWatermark} epochs=${epochs}${maximal}`,
      );
    }
  },
  explain: (cluster, command, world) => {
    const broker = at(cluster, command);
    const view = broker.partition?.view(cluster.nowMs());
    if (view === undefined) return;
    const explanation = explainOffset(view, BigInt(valueOf(command, "offset")) as Offset);
    world.events.push(`${broker.id}: ${tellExplanation(explanation)}`);
  },
};

function tellExplanation(explanation: ReturnType<typeof explainOffset>): string {
  if (explanation.kind !== "waiting") return explanation.kind;
  const missing = explanation.waitingFor.map((member) => {
    const joining = member.inIsr ? "" : " joining";
    return `${member.replica} flushed=${member.flushed ?? "unknown"} lag-ms=${member.lagMs}${joining}`;
  });
  const below = explanation.belowMinIsr ? ` below min-isr=${explanation.minIsr}` : "";
  const unsettled = explanation.unsettled ? " unsettled" : "";
  return `waiting high-watermark=${explanation.highWatermark}${below}${unsettled} for [${missing.join("; ")}]`;
}

function tellAnswer(world: World, broker: SimulatedBroker, answer: Answer, request: Request): void {
  const say = (text: string) => world.events.push(`${broker.id}: ${text}`);
  switch (answer.kind) {
    case "consumerRead":
      say(`answers fetch ${answer.from}..${answer.upTo} high-watermark=${answer.highWatermark}`);
      return;
    case "latestOffset":
      say(`answers latest ${answer.offset}`);
      return;
    case "refused": {
      const { reason, outcome, hint, divergence } = answer.refusal;
      const leader = `leader=${hint.leader ?? "none"} leader-epoch=${hint.leaderEpoch}`;
      const parted = divergence === undefined ? "" : ` diverged at ${divergence.endOffset}`;
      say(`answers ${request.kind} ${reason} outcome=${outcome} ${leader}${parted}`);
      return;
    }
    default:
      return;
  }
}

function valueOf(command: Command, key: string): string {
  const value = command.values.get(key);
  assert(value !== undefined, `${command.name} says ${key}=`);
  return value;
}

function producerOf(command: Command, records: number): ProducerStamp | undefined {
  const text = command.values.get("producer");
  if (text === undefined) return undefined;
  const [id = "", producerEpoch = "", baseSequence = ""] = text.split(":");
  return {
    producerId: BigInt(id),
    producerEpoch: Number(producerEpoch),
    baseSequence: Number(baseSequence),
    lastOffsetDelta: records - 1,
  };
}

function epochOf(command: Command, key: string): LeaderEpoch | undefined {
  const value = command.values.get(key);
  return value === undefined ? undefined : (Number(value) as LeaderEpoch);
}

function idsOf(list: string): readonly BrokerId[] {
  return (list.match(/\d+/g) ?? []).map((id) => Number(id) as BrokerId);
}

function at(cluster: Cluster, command: Command): SimulatedBroker {
  return cluster.broker(Number(valueOf(command, "at")) as BrokerId);
}

function named(cluster: Cluster, command: Command): SimulatedBroker {
  return cluster.broker(Number(command.words[0]) as BrokerId);
}

function linkOf(command: Command): [Node, Node] {
  const [from = "", , to = ""] = command.words;
  const node = (word: string): Node => (word === "controller" ? word : (Number(word) as BrokerId));
  return [node(from), node(to)];
}
