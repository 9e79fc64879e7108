import type { Command } from "commander";
import { exitCodes } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { print, printJson } from "../output.ts";
import { UsageError } from "../settings.ts";
import { type DescribedTopic, printPartitions, printTopic, topicJson } from "../topics/describe-output.ts";
import { outOfSyncOf } from "../topics/out-of-sync.ts";
import { isShown, type PartitionFilter, partitionFilters } from "../topics/partition-filter.ts";
import { type Finish, runWithClient, type ServerFlags, type Session, withExample, withServer } from "./command.ts";

interface DescribeFlags extends ServerFlags {
  readonly underReplicated: boolean;
  readonly underMinIsr: boolean;
  readonly atMinIsr: boolean;
  readonly unavailable: boolean;
}

/** `tidemark topic describe`. */
export function addTopicDescribe(topic: Command, io: Io, finish: Finish): void {
  const describe = topic
    .command("describe")
    .description("show topics and their partitions, or those partitions that lack something")
    .argument("[name]", "the topic (default: all)")
    .option("--under-replicated", "only partitions with a replica that is not in sync", false)
    .option("--under-min-isr", "only partitions with too few in-sync replicas to be written with acks=all", false)
    .option("--at-min-isr", "only partitions that cannot lose another in-sync replica and be written", false)
    .option("--unavailable", "only partitions without a leader", false);
  withExample(
    withServer(describe),
    "tidemark topic describe orders",
    "tidemark topic describe --under-replicated",
  ).action(async (name: string | undefined, flags: DescribeFlags) => {
    const filter = filterOf(flags);
    finish(await runWithClient(io, flags, (session) => run(io, { name, filter, output: flags.output }, session)));
  });
}

function filterOf(flags: DescribeFlags): PartitionFilter | undefined {
  const given = partitionFilters.filter((_, index) => {
    const { underReplicated, underMinIsr, atMinIsr, unavailable } = flags;
    return [underReplicated, underMinIsr, atMinIsr, unavailable][index];
  });
  if (given.length > 1) throw new UsageError(`Give one of ${given.map((each) => `--${each}`).join(" and ")}.`);
  return given[0];
}

async function run(
  io: Io,
  asked: Pick<ServerFlags, "output"> & {
    readonly name: string | undefined;
    readonly filter: PartitionFilter | undefined;
  },
  session: Session,
): Promise<number> {
  const { name, filter, output } = asked;
  const { topics } = await session.client.admin.describeTopics(
    { topics: name === undefined ? [] : [name] },
    session.call,
  );
  const described: DescribedTopic[] = [];
  for (const topic of topics) {
    const partitions = topic.partitions.filter((each) => filter === undefined || isShown(filter, each));
    if (filter !== undefined && partitions.length === 0) continue;
    described.push({ topic, partitions, outOfSync: await outOfSyncOf(session, topic.name, partitions) });
  }
  const [only] = described;
  if (output === "json") {
    const isOne = name !== undefined && filter === undefined && only !== undefined;
    printJson(io, isOne ? topicJson(only) : { topics: described.map(topicJson) });
  } else if (filter !== undefined) {
    if (described.length === 0) print(io, `No partition is ${filter}.`);
    else printPartitions(io, described);
  } else if (described.length === 0) {
    print(io, "There are no topics; `tidemark topic create NAME` makes one.");
  } else {
    for (const each of described) printTopic(io, each);
  }
  return exitCodes.done;
}
