import type { Command } from "commander";
import { exitCodes } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { counted, print, printJson, printTable } from "../output.ts";
import { topicJson } from "../topics/describe-output.ts";
import { keyValue, positiveCount, repeated } from "./arguments.ts";
import { type Finish, runWithClient, type ServerFlags, withExample, withServer } from "./command.ts";
import { addTopicAlter, addTopicPartitions } from "./topic-change.ts";
import { addTopicDeleteRecords } from "./topic-delete-records.ts";
import { addTopicDescribe } from "./topic-describe.ts";

interface CreateFlags extends ServerFlags {
  readonly partitions?: number;
  readonly replicationFactor?: number;
  readonly config: Readonly<Record<string, string>>;
}

/** `tidemark topic`. */
export function addTopicCommands(program: Command, io: Io, finish: Finish): void {
  const topic = program.command("topic").description("make, list, describe, change and delete topics");
  addCreate(topic, io, finish);
  addList(topic, io, finish);
  addTopicDescribe(topic, io, finish);
  addDelete(topic, io, finish);
  addTopicPartitions(topic, io, finish);
  addTopicAlter(topic, io, finish);
  addTopicDeleteRecords(topic, io, finish);
}

function addCreate(topic: Command, io: Io, finish: Finish): void {
  const create = topic
    .command("create")
    .description("make a topic")
    .argument("<name>", "1 to 249 of a-z A-Z 0-9 . _ -")
    .option("--partitions <count>", "partitions (default: num.partitions of the cluster)", positiveCount)
    .option(
      "--replication-factor <count>",
      "replicas of each partition (default: what fits the cluster)",
      positiveCount,
    )
    .addOption(
      repeated("--config <key=value>", "a setting of the topic", { parse: keyValue, none: {}, meaning: "none" }),
    );
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
          const shown = made === undefined ? { name } : topicJson({ topic: made, partitions: made.partitions });
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
