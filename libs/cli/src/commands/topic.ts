import type { TopicDescription } from "@tidemark/client";
import type { Command } from "commander";
import { exitCodes } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { counted, print, printJson, printTable } from "../output.ts";
import { keyValue, positiveNumber } from "./arguments.ts";
import { type Finish, runWithClient, type ServerFlags, withExample, withServer } from "./command.ts";

interface CreateFlags extends ServerFlags {
  readonly partitions?: number;
  readonly replicationFactor?: number;
  readonly config: Readonly<Record<string, string>>;
}

/** `tidemark topic create|list|describe|delete`. */
export function addTopicCommands(program: Command, io: Io, finish: Finish): void {
  const topic = program.command("topic").description("make, list, describe and delete topics");
  addCreate(topic, io, finish);
  addList(topic, io, finish);
  addDescribe(topic, io, finish);
  addDelete(topic, io, finish);
}

function addCreate(topic: Command, io: Io, finish: Finish): void {
  const create = topic
    .command("create")
    .description("make a topic")
    .argument("<name>", "1 to 249 of a-z A-Z 0-9 . _ -")
    .option("--partitions <count>", "partitions (default: num.partitions of the cluster)", positiveNumber)
    .option(
      "--replication-factor <count>",
      "replicas of each partition (default: what fits the cluster)",
      positiveNumber,
    )
    .option("--config <key=value>", "a setting of the topic; may be repeated", keyValue, {});
  withExample(withServer(create), "tidemark topic create orders --partitions 6 --config retention.ms=86400000").action(
    async (name: string, flags: CreateFlags) => {
      finish(
        await runWithClient(io, flags, async ({ client, call }) => {
          const { partitions, replicationFactor, config } = flags;
          const { topic: made } = await client.admin.createTopic(
            {
              topic: name,
              settings: { ...config },
              ...(partitions === undefined ? {} : { partitions }),
              ...(replicationFactor === undefined ? {} : { replicationFactor }),
            },
            call,
          );
          const shown = made === undefined ? { name } : jsonOf(made);
          if (flags.output === "json") printJson(io, shown);
          else
            print(
              io,
              `Made ${name}: ${counted(made?.partitions.length ?? 0, "partition")}, replication factor ${made?.replicationFactor ?? 0}`,
            );
          return exitCodes.done;
        }),
      );
    },
  );
}

function addList(topic: Command, io: Io, finish: Finish): void {
  withExample(withServer(topic.command("list").description("list the topics")), "tidemark topic list -o json").action(
    async (flags: ServerFlags) => {
      finish(
        await runWithClient(io, flags, async ({ client, call }) => {
          const { topics } = await client.admin.listTopics({}, call);
          const listed = topics.map(({ name, partitions, replicationFactor, topicId }) => ({
            name,
            partitions,
            replicationFactor,
            topicId,
          }));
          if (flags.output === "json") printJson(io, { topics: listed });
          else if (listed.length === 0) print(io, "There are no topics; `tidemark topic create NAME` makes one.");
          else
            printTable(
              io,
              ["Topic", "Partitions", "ReplicationFactor", "TopicId"],
              listed.map((each) => Object.values(each)),
            );
          return exitCodes.done;
        }),
      );
    },
  );
}

function addDescribe(topic: Command, io: Io, finish: Finish): void {
  const describe = topic
    .command("describe")
    .description("show a topic and its partitions")
    .argument("<name>", "the topic");
  withExample(withServer(describe), "tidemark topic describe orders").action(
    async (name: string, flags: ServerFlags) => {
      finish(
        await runWithClient(io, flags, async ({ client, call }) => {
          const { topics } = await client.admin.describeTopics({ topics: [name] }, call);
          for (const described of topics) {
            if (flags.output === "json") printJson(io, jsonOf(described));
            else printTopic(io, described);
          }
          return exitCodes.done;
        }),
      );
    },
  );
}

function addDelete(topic: Command, io: Io, finish: Finish): void {
  const remove = topic.command("delete").description("delete a topic with its data").argument("<name>", "the topic");
  withExample(withServer(remove), "tidemark topic delete orders").action(async (name: string, flags: ServerFlags) => {
    finish(
      await runWithClient(io, flags, async ({ client, call }) => {
        const { topicId } = await client.admin.deleteTopic({ topic: name }, call);
        if (flags.output === "json") printJson(io, { name, topicId });
        else print(io, `Deleted ${name}`);
        return exitCodes.done;
      }),
    );
  });
}

function jsonOf({ name, topicId, replicationFactor, settings, partitions }: TopicDescription) {
  return {
    name,
    topicId,
    replicationFactor,
    configs: settings,
    partitions: partitions.map((each) => ({
      partition: each.partition,
      leader: each.leader ?? null,
      replicas: each.replicas,
      isr: each.isr,
      elr: each.elr,
      offline: each.offline,
      leaderEpoch: each.leaderEpoch,
      minIsr: each.minIsr,
    })),
  };
}

/** With the columns that people know from Kafka. */
function printTopic(io: Io, { name, topicId, replicationFactor, settings, partitions }: TopicDescription): void {
  const configs = Object.entries(settings).map(([key, value]) => `${key}=${value}`);
  print(
    io,
    `Topic: ${name}  TopicId: ${topicId}  PartitionCount: ${partitions.length}  ReplicationFactor: ${replicationFactor}  Configs: ${configs.join(",")}`,
  );
  printTable(
    io,
    ["Partition", "Leader", "Replicas", "Isr", "Elr", "Offline"],
    partitions.map(({ partition, leader, replicas, isr, elr, offline }) => [
      partition,
      leader ?? "none",
      ...[replicas, isr, elr, offline].map((brokers) => brokers.join(",")),
    ]),
  );
}
