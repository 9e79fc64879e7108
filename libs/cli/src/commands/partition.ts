import {
  type ElectionResult,
  ElectionType,
  type ExplainOffsetResponse,
  fromErrorDetail,
  OffsetState,
  Reason,
  reasonName,
} from "@tidemark/client";
import { type Command, Option } from "commander";
import { exitCodes } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { print, printJson, printTable } from "../output.ts";
import { UsageError } from "../settings.ts";
import { wordOf } from "../words.ts";
import { collectedNumbers, repeated, wholeNumber, wholeOffset } from "./arguments.ts";
import { type Finish, runWithClient, type ServerFlags, withExample, withServer } from "./command.ts";

const electionTypes = { preferred: ElectionType.PREFERRED, unclean: ElectionType.UNCLEAN } as const;

interface ElectFlags extends ServerFlags {
  readonly electionType: keyof typeof electionTypes;
  readonly topic?: string;
  readonly partition: readonly number[];
  readonly allTopics: boolean;
}

/** `tidemark partition elect|explain`. */
export function addPartitionCommands(program: Command, io: Io, finish: Finish): void {
  const partition = program.command("partition").description("elect leaders, and see why an offset is not committed");
  addElect(partition, io, finish);
  addExplain(partition, io, finish);
}

function addElect(partition: Command, io: Io, finish: Finish): void {
  const elect = partition
    .command("elect")
    .description("elect the preferred leaders; or, where no eligible replica is left, one that loses records")
    .addOption(
      new Option("--election-type <type>", "preferred: the first replica; unclean: the longest log that is left")
        .choices(Object.keys(electionTypes))
        .makeOptionMandatory(),
    )
    .option("--topic <name>", "of this topic")
    .addOption(
      repeated("--partition <number>", "this partition of it", { parse: collectedNumbers, none: [], meaning: "all" }),
    )
    .option("--all-topics", "of every topic", false);
  withExample(
    withServer(elect),
    "tidemark partition elect --election-type preferred --all-topics",
    "tidemark partition elect --election-type unclean --topic orders --partition 3",
  ).action(async (flags: ElectFlags) => {
    const { topic, partition: partitions } = flags;
    if ((topic === undefined) !== flags.allTopics) throw new UsageError("Give --topic NAME or --all-topics.");
    if (topic === undefined && partitions.length > 0) throw new UsageError("--partition goes with --topic.");
    finish(
      await runWithClient(io, flags, async ({ client, call }) => {
        const type = electionTypes[flags.electionType];
        const { results } = await client.admin.electLeaders(
          { type, topic: topic ?? "", partitions: [...partitions] },
          call,
        );
        if (flags.output === "json") printJson(io, { results: results.map(resultJson) });
        else printResults(io, results);
        return results.some((result) => problemOf(result) !== undefined) ? exitCodes.failed : exitCodes.done;
      }),
    );
  });
}

/** Undefined where the partition has the leader that was wanted, be it since before. */
function problemOf({ error }: ElectionResult): string | undefined {
  return error === undefined || error.reason === Reason.ELECTION_NOT_NEEDED ? undefined : reasonName(error.reason);
}

function resultJson(result: ElectionResult) {
  const { topic, partition, leader = null, leaderEpoch, error, message } = result;
  const reason = error === undefined ? {} : { reason: reasonName(error.reason), message };
  return { topic, partition, leader, leaderEpoch, ...reason };
}

function printResults(io: Io, results: readonly ElectionResult[]): void {
  if (results.length === 0) {
    print(io, "No partition needed an election.");
    return;
  }
  const rows = results.map(({ topic, partition, leader = "none", leaderEpoch, error, message }) => {
    const outcome = error === undefined ? "elected" : fromErrorDetail(error, message).message;
    return [topic, partition, leader, leaderEpoch, outcome];
  });
  printTable(io, ["Topic", "Partition", "Leader", "LeaderEpoch", "Result"], rows);
}

function addExplain(partition: Command, io: Io, finish: Finish): void {
  const explain = partition
    .command("explain")
    .description("say whether an offset is committed, and if not which replica is waited for")
    .argument("<topic>", "the topic")
    .argument("<partition>", "the partition", wholeNumber)
    .argument("<offset>", "the offset", wholeOffset);
  withExample(withServer(explain), "tidemark partition explain orders 3 1500").action(
    async (topic: string, index: number, offset: bigint, flags: ServerFlags) => {
      finish(
        await runWithClient(io, flags, async ({ client, call }) => {
          const told = await client.log.explainOffset({ topic, partition: index, offset }, call);
          if (flags.output === "json") printJson(io, { topic, partition: index, offset, ...explanationJson(told) });
          else printExplanation(io, told);
          return exitCodes.done;
        }),
      );
    },
  );
}

function explanationJson(told: ExplainOffsetResponse) {
  const { state, explanation, highWatermark, logStart, logEnd, minIsr, leaderEpoch, replicas } = told;
  return {
    state: wordOf(OffsetState, state),
    explanation,
    highWatermark,
    logStart,
    logEnd,
    minIsr,
    leaderEpoch,
    replicas: replicas.map(({ broker, inSync, flushed = null, lagMs }) => ({ broker, inSync, flushed, lagMs })),
  };
}

function printExplanation(io: Io, told: ExplainOffsetResponse): void {
  const { state, explanation, highWatermark, logStart, logEnd, minIsr, leaderEpoch, replicas } = told;
  print(io, `${wordOf(OffsetState, state)}: ${explanation}`);
  print(
    io,
    `LogStart: ${logStart}  HighWatermark: ${highWatermark}  LogEnd: ${logEnd}  MinIsr: ${minIsr}  LeaderEpoch: ${leaderEpoch}`,
  );
  printTable(
    io,
    ["Replica", "InSync", "Flushed", "LagMs"],
    replicas.map(({ broker, inSync, flushed, lagMs }) => [
      broker,
      inSync ? "yes" : "no",
      String(flushed ?? "unknown"),
      String(lagMs),
    ]),
  );
}
