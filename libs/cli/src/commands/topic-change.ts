import type { Command } from "commander";
import { exitCodes } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { counted, print, printJson } from "../output.ts";
import { UsageError } from "../settings.ts";
import { topicJson } from "../topics/describe-output.ts";
import { collected, keyValue, positiveCount, repeated } from "./arguments.ts";
import { type Finish, runWithClient, type ServerFlags, withExample, withServer } from "./command.ts";

interface AddFlags extends ServerFlags {
  readonly partitions: number;
}

interface AlterFlags extends ServerFlags {
  readonly config: Readonly<Record<string, string>>;
  readonly unset: readonly string[];
}

/** `tidemark topic add-partitions`. */
export function addTopicPartitions(topic: Command, io: Io, finish: Finish): void {
  const add = topic
    .command("add-partitions")
    .description("give a topic more partitions; keys go to other partitions from then on")
    .argument("<name>", "the topic")
    .requiredOption("--partitions <count>", "how many it shall have in all", positiveCount);
  withExample(withServer(add), "tidemark topic add-partitions orders --partitions 12").action(
    async (name: string, flags: AddFlags) => {
      finish(
        await runWithClient(io, flags, async ({ client, call }) => {
          const { topic: grown } = await client.admin.addPartitions(
            { topic: name, partitions: flags.partitions },
            call,
          );
          if (flags.output === "json") printJson(io, shownOf(name, grown));
          else print(io, `${name} has ${counted(grown?.partitions.length ?? flags.partitions, "partition")} now`);
          return exitCodes.done;
        }),
      );
    },
  );
}

/** `tidemark topic alter`. */
export function addTopicAlter(topic: Command, io: Io, finish: Finish): void {
  const alter = topic
    .command("alter")
    .description("change settings of a topic")
    .argument("<name>", "the topic")
    .addOption(repeated("--config <key=value>", "a setting", { parse: keyValue, none: {}, meaning: "none" }))
    .addOption(repeated("--unset <key>", "back to the default", { parse: collected, none: [], meaning: "none" }));
  withExample(
    withServer(alter),
    "tidemark topic alter orders --config min.insync.replicas=2 --unset retention.ms",
  ).action(async (name: string, flags: AlterFlags) => {
    if (Object.keys(flags.config).length === 0 && flags.unset.length === 0) {
      throw new UsageError("Say what to change: --config key=value, or --unset key.");
    }
    finish(
      await runWithClient(io, flags, async ({ client, call }) => {
        const change = { topic: name, set: { ...flags.config }, unset: [...flags.unset] };
        const { topic: altered } = await client.admin.configureTopic(change, call);
        const settings = Object.entries(altered?.settings ?? {}).map(([key, value]) => `${key}=${value}`);
        if (flags.output === "json") printJson(io, shownOf(name, altered));
        else print(io, `Configs of ${name}: ${settings.length === 0 ? "all defaults" : settings.join(",")}`);
        return exitCodes.done;
      }),
    );
  });
}

function shownOf(name: string, topic: Parameters<typeof topicJson>[0]["topic"] | undefined) {
  return topic === undefined ? { name } : topicJson({ topic, partitions: topic.partitions });
}
