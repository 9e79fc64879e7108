import { type Client, reasonName } from "@tidemark/client";
import type { Command } from "commander";
import { exitCodes } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { print, printJson } from "../output.ts";
import { UsageError } from "../settings.ts";
import { collectedNumbers, repeated, wholeOffset } from "./arguments.ts";
import { type Finish, runWithClient, type ServerFlags, withExample, withServer } from "./command.ts";

interface DeleteFlags extends ServerFlags {
  readonly partition: readonly number[];
  readonly before?: bigint;
  readonly all: boolean;
}

type Deleted = Awaited<ReturnType<Client["admin"]["deleteRecords"]>>["partitions"][number];

/** `tidemark topic delete-records`. */
export function addTopicDeleteRecords(topic: Command, io: Io, finish: Finish): void {
  const remove = topic
    .command("delete-records")
    .description("delete the oldest records of partitions, on every live replica")
    .argument("<name>", "the topic")
    .addOption(
      repeated("--partition <number>", "this partition", { parse: collectedNumbers, none: [], meaning: "all" }),
    )
    .option("--before <offset>", "the first offset that stays", wholeOffset)
    .option("--all", "everything that is committed", false);
  withExample(withServer(remove), "tidemark topic delete-records orders --partition 0 --before 1000").action(
    async (name: string, flags: DeleteFlags) => {
      const { before } = flags;
      if ((before === undefined) !== flags.all) throw new UsageError("Give --before OFFSET or --all.");
      finish(
        await runWithClient(io, flags, async ({ client, call }) => {
          const named = flags.partition.length > 0 ? flags.partition : await allPartitions(client, name, call);
          const wanted = named.map((partition) => ({
            partition,
            ...(before === undefined ? {} : { beforeOffset: before }),
          }));
          const { partitions } = await client.admin.deleteRecords({ topic: name, partitions: wanted }, call);
          if (flags.output === "json") printJson(io, { name, partitions: partitions.map(deletedJson) });
          else for (const each of partitions) print(io, `${name}-${each.partition} ${deletedText(each)}`);
          return partitions.some(({ error }) => error !== undefined) ? exitCodes.failed : exitCodes.done;
        }),
      );
    },
  );
}

async function allPartitions(
  client: Client,
  topic: string,
  call: Parameters<Client["admin"]["describeTopics"]>[1],
): Promise<readonly number[]> {
  const { topics } = await client.admin.describeTopics({ topics: [topic] }, call);
  return (topics[0]?.partitions ?? []).map(({ partition }) => partition);
}

function deletedText({ logStart, error, message }: Deleted): string {
  return error === undefined ? `begins at ${logStart}` : `${reasonName(error.reason)}: ${message}`;
}

function deletedJson({ partition, logStart, error, message }: Deleted) {
  return error === undefined ? { partition, logStart } : { partition, reason: reasonName(error.reason), message };
}
