/**
 * Runs a script against controllers in memory: commands, a line of dashes, and under it what the controllers told and
 * answered. Brokers are played; those that joined and are neither lost nor silent send heartbeats to the controller that took them, while time passes.
 *
 * | command                                | does                                                                  |
 * |----------------------------------------|-----------------------------------------------------------------------|
 * | start N                                | starts controller N; its appends can be stopped by `dies`             |
 * | dies N after K                         | controller N dies with the append after the next K                    |
 * | stall N, resume N                      | the process stands still, and goes on                                 |
 * | late N MS                              | the process wakes so much later than it should                        |
 * | join B [directory=D] [incarnation=I] [saw=E] | a broker registers and begins to send heartbeats                |
 * | rejoin B incarnation=I                 | it registers, whatever comes of it                                    |
 * | lose B port=P                          | its connection breaks; its port is refused, unreachable or reached    |
 * | silent B                               | it sends nothing more                                                 |
 * | port B P                               | what a probe of it finds from now on                                  |
 * | advance MS                             | time passes                                                           |
 * | topic NAME [partitions=N] [replicas=N] | makes a topic                                                         |
 * | delete NAME, configure NAME KEY=VALUE  | as people do                                                          |
 * | propose B NAME leader-epoch=E partition-epoch=E isr=(..) | a leader asks for another ISR                       |
 * | confirm B NAME                         | tells that the data of the deleted topic are gone                     |
 * | mark NAME                              | names the revision that the metadata have now                         |
 * | watch [controller-epoch=E] [after=R]   | the first frame of a watch of the metadata, behind a revision or a mark |
 * | show NAME, deletions                   | what the active controller has                                        |
 */
import type { AppendOutcome, Consensus } from "@tidemark/consensus";
import type { CandidateNumber } from "@tidemark/consensus/contract";
import { findTopic, listPartitions, type MetadataImage, valuesOf } from "@tidemark/metadata";
import { ConfigureTopicRequestSchema, DeleteTopicRequestSchema } from "@tidemark/proto/admin/v1";
import { AlterPartitionRequestSchema, MetadataFrame } from "@tidemark/proto/cluster/v1";
import { Outcome } from "@tidemark/proto/common/v1";
import { reasonName, TidemarkError } from "@tidemark/rpc";
import {
  callContext,
  createTopic,
  directoryOf,
  incarnationOf,
  joinBroker,
  openWatch,
  type PlayedBroker,
  passTime,
  portOf,
  register,
  request,
} from "./calls.ts";
import { linesOf, members } from "./script-trace.ts";
import type { Node, World } from "./world.ts";

interface Stage {
  readonly world: World;
  readonly nodes: Map<number, Node>;
  /** How many events of each controller were told. */
  readonly told: Map<Node, number>;
  readonly left: Map<number, number>;
  readonly stalled: Set<number>;
  readonly brokers: Map<number, PlayedBroker>;
  readonly beating: Set<number>;
  /** Topic ids by name, also of topics that are gone: the first of each name. */
  readonly topics: Map<string, string>;
  /** By the name that `mark` gave them. */
  readonly revisions: Map<string, bigint>;
  readonly lines: string[];
}

const context = callContext();

/** So many turns at least pass before a script goes on: less than a grace, where a turn takes time. */
const turnsMin = 20;

const outcomes: Readonly<Record<Outcome, string>> = {
  [Outcome.UNSPECIFIED]: "of no outcome",
  [Outcome.NOT_APPLIED]: "not applied",
  [Outcome.UNKNOWN]: "outcome unknown",
  [Outcome.APPLIED]: "applied",
};

const frames: Readonly<Record<MetadataFrame, string>> = {
  [MetadataFrame.UNSPECIFIED]: "nothing",
  [MetadataFrame.SNAPSHOT_PART]: "part of a snapshot",
  [MetadataFrame.SNAPSHOT_END]: "snapshot",
  [MetadataFrame.DELTA]: "batch",
};

/** The same script, with what happened in place of what was expected, in a world on a store of any backend. */
export async function runScript(text: string, open: () => Promise<World>): Promise<string> {
  const world = await open();
  const stage: Stage = {
    world,
    nodes: new Map(),
    told: new Map(),
    left: new Map(),
    stalled: new Set(),
    brokers: new Map(),
    beating: new Set(),
    topics: new Map(),
    revisions: new Map(),
    lines: [],
  };
  const out: string[] = [];
  let isExpectation = false;
  for (const line of text.trimEnd().split("\n")) {
    if (line === "----") {
      isExpectation = true;
      out.push(line, ...takeLines(stage));
    } else if (line === "") {
      isExpectation = false;
      out.push(line);
    } else if (!isExpectation) {
      out.push(line);
      if (!line.startsWith("#")) await perform(stage, line);
    }
  }
  await world.close();
  return `${out.join("\n")}\n`;
}

/** An answer stands behind what was told before it. */
function say(stage: Stage, ...answers: readonly string[]): void {
  stage.lines.push(...takeEvents(stage), ...answers);
}

function takeLines(stage: Stage): readonly string[] {
  return [...stage.lines.splice(0), ...takeEvents(stage)];
}

function takeEvents(stage: Stage): readonly string[] {
  const lines: string[] = [];
  for (const node of stage.nodes.values()) {
    const from = stage.told.get(node) ?? 0;
    stage.told.set(node, node.events.length);
    lines.push(
      ...node.events
        .slice(from)
        .flatMap(linesOf)
        .map((line) => `${node.number}: ${withOrdinal(stage, line)}`),
    );
  }
  return lines;
}

/** The controller epochs until now, in order. Backends leave some out. */
function epochsOf({ nodes }: Stage): readonly number[] {
  const activated = [...nodes.values()].flatMap(({ events }) => events.filter((event) => event.kind === "activated"));
  return activated.map(({ epoch }) => epoch).sort((left, right) => left - right);
}

/** Controller epochs are shown counted from 1, as if every backend gave them one by one. */
function withOrdinal(stage: Stage, line: string): string {
  return line.replace(
    /(active in controller epoch|the newest here is) (\d+)/,
    (_, words: string, epoch: string) => `${words} ${epochsOf(stage).indexOf(Number(epoch)) + 1}`,
  );
}

interface Words {
  readonly plain: readonly string[];
  readonly named: ReadonlyMap<string, string>;
}

function wordsOf(line: string): Words {
  const all = line.split(/\s+/);
  const named = all.flatMap((word): [string, string][] => {
    const [, key, value] = /^([a-z.-]+)=(.*)$/.exec(word) ?? [];
    return key === undefined || value === undefined ? [] : [[key, value]];
  });
  return { plain: all.filter((word) => !word.includes("=")), named: new Map(named) };
}

async function perform(stage: Stage, line: string): Promise<void> {
  const { plain, named } = wordsOf(line);
  const [command = "", first = "", second = "", third = ""] = plain;
  const id = Number(first);
  const { world } = stage;
  switch (command) {
    case "start":
      await start(stage, id as CandidateNumber);
      break;
    case "dies":
      stage.left.set(id, Number(third));
      break;
    case "stall":
      world.store.stall(id as CandidateNumber);
      stage.stalled.add(id);
      await passTurns(stage);
      break;
    case "resume":
      world.store.resume(id as CandidateNumber);
      stage.stalled.delete(id);
      await passTurns(stage);
      break;
    case "late":
      stage.nodes.get(id)?.stallFor(Number(second));
      break;
    case "join":
      await join(stage, id, named);
      break;
    case "rejoin":
      await settleOrDie(
        stage,
        register(asked(stage), id, { incarnationId: incarnationOf(Number(named.get("incarnation"))) }),
      );
      break;
    case "lose":
      setPort(stage, id, named.get("port") ?? "");
      stage.beating.delete(id);
      stage.brokers.get(id)?.close();
      break;
    case "silent":
      stage.beating.delete(id);
      break;
    case "port":
      setPort(stage, id, second);
      break;
    case "advance":
      await passTime(
        world,
        id,
        [...stage.beating].flatMap((each) => stage.brokers.get(each) ?? []),
      );
      await passTurns(stage);
      break;
    default:
      await ask(stage, { command, first, second, named });
  }
}

async function start(stage: Stage, number: CandidateNumber): Promise<void> {
  const wrap = (consensus: Consensus): Consensus => ({
    ...consensus,
    append(epoch, changes) {
      const left = stage.left.get(number) ?? Number.POSITIVE_INFINITY;
      stage.left.set(number, left - 1);
      if (left > 0) return consensus.append(epoch, changes);
      const node = stage.nodes.get(number);
      if (node !== undefined) stage.world.kill(node);
      return new Promise<AppendOutcome>(() => undefined);
    },
  });
  const node = await stage.world.start(number, { wrap });
  stage.nodes.set(number, node);
  await stage.world.active();
  await passTurns(stage);
}

/**
 * So many turns of the event loop let everything happen that can without time, and a controller that is gone have a
 * successor: the stores that take time for that are given it.
 */
async function passTurns(stage: Stage): Promise<void> {
  let turns = 0;
  await stage.world.until(() => (turns += 1) > turnsMin && hasSuccessor(stage), "turns, and a controller");
}

/** One of those that run is active, where others run than the one that is gone. */
function hasSuccessor({ nodes, left, stalled }: Stage): boolean {
  const running = [...nodes.values()].filter(({ number }) => !isDead(left, number) && !stalled.has(number));
  const isOneGone = running.length < nodes.size;
  return !isOneGone || running.length === 0 || running.some(({ controller }) => controller.isActive);
}

function setPort({ world }: Stage, broker: number, state: string): void {
  if (state !== "refused" && state !== "unreachable" && state !== "reached") throw new Error(`No state ${state}`);
  world.ports.set(portOf(broker), state);
}

async function join(stage: Stage, broker: number, named: Words["named"]): Promise<void> {
  const { world } = stage;
  world.ports.set(portOf(broker), "reached");
  await attempt(stage, `broker ${broker}`, async () => {
    const directory = named.get("directory");
    const joined = await joinBroker(world, asked(stage), broker, {
      incarnationId: incarnationOf(Number(named.get("incarnation") ?? broker)),
      ...(directory === undefined ? {} : { directoryIds: [directoryOf(Number(directory))] }),
      ...(named.has("saw") ? { controllerEpoch: Number(named.get("saw")), clusterId: clusterOf(stage) } : {}),
    });
    stage.brokers.set(broker, joined);
    stage.beating.add(broker);
    return undefined;
  });
}

/** Whom brokers and people ask: the active controller, of two who think so the later one; where there is none the one that was started last. */
function asked({ nodes, left }: Stage): Node {
  const all = [...nodes.values()].filter(({ number }) => !isDead(left, number));
  const node = all.findLast(({ controller }) => controller.isActive) ?? all.at(-1);
  if (node === undefined) throw new Error("No controller was started");
  return node;
}

function clusterOf({ nodes }: Stage): string {
  return [...nodes.values()].flatMap(({ clusters }) => clusters)[0] ?? "";
}

/** A line with the error where the call fails, and with what it resolves to. */
async function attempt(stage: Stage, who: string, call: () => Promise<string | undefined>): Promise<void> {
  try {
    const answer = await call();
    if (answer !== undefined) say(stage, `${who}: ${answer}`);
  } catch (error) {
    if (!(error instanceof TidemarkError)) throw error;
    say(stage, `${who}: refused ${reasonName(error.reason)}, ${outcomes[error.outcome]}`);
  }
  await passTurns(stage);
  // All were heard at one moment, however long the store took for the answer.
  for (const each of stage.beating) stage.brokers.get(each)?.beat();
  await passTurns(stage);
}

/** A controller dies with the first append too many. */
function isDead(left: Stage["left"], number: number): boolean {
  return (left.get(number) ?? 0) < 0;
}

/** Waits for a call whose controller may die before it answers. */
async function settleOrDie<Value>({ world, nodes, left }: Stage, call: Promise<Value>): Promise<Value | "no answer"> {
  const alive = [...nodes.keys()].filter((number) => !isDead(left, number));
  const hasDied = () => alive.some((number) => isDead(left, number));
  const progress = { isSettled: false };
  const settled = call.finally(() => {
    progress.isSettled = true;
  });
  settled.catch(() => undefined);
  await world.until(() => progress.isSettled || hasDied(), "an answer, or a death");
  return progress.isSettled ? settled : "no answer";
}

interface Asked {
  readonly command: string;
  readonly first: string;
  readonly second: string;
  readonly named: Words["named"];
}

async function ask(stage: Stage, { command, first, second, named }: Asked): Promise<void> {
  const { world } = stage;
  const node = asked(stage);
  const { admin } = node.controller;
  switch (command) {
    case "topic":
      await attempt(stage, `topic ${first}`, async () => {
        const counts = {
          partitions: Number(named.get("partitions") ?? 1),
          replicationFactor: Number(named.get("replicas") ?? 3),
        };
        const made = await settleOrDie(stage, createTopic(node, first, counts));
        if (made === "no answer") return made;
        if (!stage.topics.has(first)) stage.topics.set(first, made.topic?.topicId ?? "");
        return undefined;
      });
      break;
    case "delete":
      await attempt(stage, `delete ${first}`, async () => {
        await world.settle(admin.deleteTopic(request(DeleteTopicRequestSchema, { topic: first }), context));
        return undefined;
      });
      break;
    case "configure":
      await attempt(stage, `configure ${first}`, async () => {
        const set = Object.fromEntries(named);
        await world.settle(admin.configureTopic(request(ConfigureTopicRequestSchema, { topic: first, set }), context));
        return undefined;
      });
      break;
    case "propose":
      await propose(stage, node, { broker: Number(first), topic: second, named });
      break;
    case "confirm":
      stage.brokers.get(Number(first))?.beat({ confirmedDeletions: [stage.topics.get(second) ?? ""] });
      await passTurns(stage);
      break;
    case "mark":
      stage.revisions.set(first, await revisionOf(stage, node));
      break;
    case "watch":
      await firstFrame(stage, node, named);
      break;
    case "show":
      say(stage, ...describe(node.controller.image, first));
      break;
    case "deletions":
      for (const { name, awaited } of valuesOf(node.controller.image.deletedTopics)) {
        say(stage, `deletion of ${name} waits for ${awaited.join(",")}`);
      }
      break;
    default:
      throw new Error(`No command ${command}`);
  }
}

async function propose(
  stage: Stage,
  node: Node,
  of: { readonly broker: number; readonly topic: string; readonly named: Words["named"] },
): Promise<void> {
  const { broker, topic, named } = of;
  const isr = (named.get("isr") ?? "").replaceAll(/[()]/g, "").split(",").map(Number);
  const brokerEpochOf = (id: number) => stage.brokers.get(id)?.brokerEpoch ?? 1;
  await attempt(stage, `broker ${broker}`, async () => {
    const call = request(AlterPartitionRequestSchema, {
      brokerId: broker,
      brokerEpoch: brokerEpochOf(broker),
      partitions: [
        {
          topicId: stage.topics.get(topic) ?? "",
          partition: 0,
          leaderEpoch: Number(named.get("leader-epoch")),
          partitionEpoch: Number(named.get("partition-epoch")),
          isr: isr.map((id) => ({ brokerId: id, brokerEpoch: brokerEpochOf(id) })),
        },
      ],
    });
    const { results = [] } = await stage.world.settle(node.controller.cluster.alterPartition(call, context));
    const error = results[0]?.error;
    return error === undefined ? "applied" : `refused ${reasonName(error.reason ?? 0)}`;
  });
}

/** The revision that a watch gets to, which begins now. */
async function revisionOf(stage: Stage, node: Node): Promise<bigint> {
  const watch = openWatch(node);
  await passTurns(stage);
  watch.stop();
  return watch.frames.at(-1)?.revision ?? 0n;
}

async function firstFrame(stage: Stage, node: Node, named: Words["named"]): Promise<void> {
  const after = named.get("after");
  const epoch = Number(named.get("controller-epoch") ?? 0);
  const watch = openWatch(node, {
    controllerEpoch: epochsOf(stage)[epoch - 1] ?? epoch,
    ...(after === undefined ? {} : { afterRevision: stage.revisions.get(after) ?? BigInt(after) }),
  });
  await passTurns(stage);
  const [frame] = watch.frames;
  watch.stop();
  const kind = frame === undefined ? "nothing yet" : frames[frame.frame ?? MetadataFrame.UNSPECIFIED];
  const keys = (frame?.changes ?? []).map(({ key = "" }) => key.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/, "ID"));
  say(stage, `watch: ${kind} ${keys.join(" ")}`.trimEnd());
}

function describe(image: MetadataImage, name: string): readonly string[] {
  const topic = findTopic(image, name);
  if (topic === undefined) return [`${name} is not there`];
  const partitions = listPartitions(image, topic.topicId);
  const leaderless = partitions.filter(({ leader }) => leader === undefined).length;
  if (partitions.length > 3) return [`${name}: ${partitions.length} partitions, ${leaderless} without a leader`];
  return partitions.map(
    ({ partition, leader, leaderEpoch, partitionEpoch, isr, elr, minIsr }) =>
      `${name}-${partition} leader ${leader ?? "none"} leader-epoch=${leaderEpoch} partition-epoch=${partitionEpoch} ` +
      `${members(isr, elr)} min-isr=${minIsr}`,
  );
}
