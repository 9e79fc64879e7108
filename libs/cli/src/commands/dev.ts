import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { readClusterFile } from "../dev/cluster-file.ts";
import { sendCommand, type Verb, verbs } from "../dev/control.ts";
import type { Backend, Role } from "../dev/layout.ts";
import { type DevOptions, refuseEtcd, refuseOptions } from "../dev/options.ts";
import { runDev } from "../dev/run-dev.ts";
import type { CommandResult } from "../dev/supervisor.ts";
import { formatTarget } from "../dev/switch-target.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { print } from "../output.ts";
import { UsageError } from "../settings.ts";
import { wholeNumber } from "./arguments.ts";
import type { Finish, OutputFormat } from "./command.ts";
import { withOutput } from "./command.ts";

const defaultData = ".tidemark";

interface DevFlags {
  readonly data: string;
  readonly brokers: number;
  readonly controllers?: number;
  readonly gateways: number;
  readonly logDirs: number;
  readonly backend?: Backend;
  readonly etcds?: number;
  readonly etcdEndpoints?: string;
  readonly basePort: number;
  readonly fresh: boolean;
  readonly respawn: boolean;
}

const notes: Readonly<Record<Verb, string>> = {
  start: "starts a process that is down; one that runs is left alone",
  stop: "stops a process, as SIGTERM does",
  restart: "stops a process and starts it again",
};

/** `tidemark dev`: a whole cluster on this machine, and its processes one by one. */
export function addDevCommand(program: Command, io: Io, finish: Finish): void {
  const dev = program
    .command("dev")
    .description("run a whole cluster on this machine until Ctrl-C")
    .option("--data <folder>", "where everything is kept", defaultData)
    .option("--brokers <count>", "brokers", wholeNumber, 3)
    .option("--controllers <count>", "controllers (default: those there are; 1 for a new cluster)", wholeNumber)
    .option("--gateways <count>", "gateways", wholeNumber, 1)
    .option("--log-dirs <count>", "log directories of each broker", wholeNumber, 1)
    .addOption(
      new Option(
        "--backend <name>",
        "what keeps the metadata (default: what keeps them already; single for a new cluster)",
      ).choices(["single", "raft", "etcd"]),
    )
    .option("--etcds <count>", "members of the etcd that is run with --backend etcd: 1 or 3 (default: 1)", wholeNumber)
    .option("--etcd-endpoints <list>", "host:port of each member of an etcd that runs already, with commas")
    .option(
      "--base-port <port>",
      "the gateway's port, from which the others follow; 0 takes free ones",
      wholeNumber,
      4640,
    )
    .option("--fresh", "begin with no data", false)
    .option("--respawn", "start a process again that dies", false)
    .addHelpText("after", "\nExample:\n  tidemark dev --brokers 5 --data /var/tmp/cluster")
    .action(async (flags: DevFlags) => {
      const options = withKnown({ ...flags, data: resolve(io.workingDirectory, flags.data) });
      const refusal = refuseOptions(options);
      if (refusal !== undefined) {
        io.stderr.write(`tidemark: ${refusal}\n`);
        finish(exitCodes.usage);
        return;
      }
      const say = (line: string) => {
        io.stdout.write(`${line}\n`);
      };
      finish(await runDev(options, { say, env: io.env, stop: io.interrupted }));
    });
  for (const verb of verbs) addVerb(dev, verb, io, finish);
  addSwitch(dev, io, finish);
}

/** What was not asked for is as it was when the cluster ran last. */
function withKnown(flags: DevFlags): DevOptions {
  const known = flags.fresh ? undefined : readClusterFile(flags.data);
  const countOf = (role: Role) => known?.processes.filter((each) => each.role === role).length ?? 0;
  const backend = flags.backend ?? known?.backend ?? "single";
  const wasHere = known?.backend === backend;
  const etcdEndpoints = flags.etcdEndpoints ?? (wasHere && flags.etcds === undefined ? known.etcdEndpoints : undefined);
  const where = { backend, ...(etcdEndpoints === undefined ? {} : { etcdEndpoints }) };
  const controllers = flags.controllers ?? (wasHere && backend !== "single" ? countOf("controller") : 1);
  const own = ownEtcds(where);
  return {
    ...flags,
    ...where,
    logDirectories: flags.logDirs,
    controllers,
    etcds: flags.etcds ?? (wasHere && own > 0 ? Math.max(own, countOf("etcd")) : own),
  };
}

interface SwitchFlags {
  readonly data: string;
  readonly backend: Backend;
  readonly etcds?: number;
  readonly etcdEndpoints?: string;
  readonly output: OutputFormat;
}

function addSwitch(dev: Command, io: Io, finish: Finish): void {
  const command = dev
    .command("switch")
    .description("move the metadata of the running cluster to another backend; brokers go on meanwhile")
    .addOption(new Option("--backend <name>", "where to").choices(["single", "raft", "etcd"]).makeOptionMandatory())
    .option("--etcds <count>", "members of the etcd that is run for it: 1 or 3 (default: 1)", wholeNumber)
    .option("--etcd-endpoints <list>", "host:port of each member of an etcd that runs already, with commas")
    .option("--data <folder>", "the data folder of the cluster", defaultData)
    .addHelpText("after", "\nExample:\n  tidemark dev switch --backend etcd");
  withOutput(command).action(async ({ data, output, ...flags }: SwitchFlags) => {
    const target = { ...flags, etcds: flags.etcds ?? ownEtcds(flags) };
    const refusal = refuseEtcd(target);
    if (refusal !== undefined) throw new UsageError(refusal);
    const result = await sendCommand(resolve(io.workingDirectory, data), "switch", formatTarget(target));
    tell(io, result, output);
    finish(result.ok ? exitCodes.done : exitCodes.failed);
  });
}

/** One, unless there is an etcd already. */
function ownEtcds({ backend, etcdEndpoints }: { readonly backend: Backend; readonly etcdEndpoints?: string }): number {
  return backend === "etcd" && etcdEndpoints === undefined ? 1 : 0;
}

function tell(io: Io, result: CommandResult, output: OutputFormat, more: object = {}): void {
  if (output === "json") print(io, JSON.stringify({ ...more, ...result }));
  else if (result.ok) print(io, result.message);
  else io.stderr.write(`tidemark: ${result.message}\n`);
}

function addVerb(dev: Command, verb: Verb, io: Io, finish: Finish): void {
  const command = dev
    .command(verb)
    .description(notes[verb])
    .argument("<process>", "its name, such as broker-2")
    .option("--data <folder>", "the data folder of the cluster", defaultData)
    .addHelpText("after", `\nExample:\n  tidemark dev ${verb} broker-2 --data .tidemark`);
  withOutput(command).action(async (name: string, flags: { readonly data: string; readonly output: OutputFormat }) => {
    const result = await sendCommand(resolve(io.workingDirectory, flags.data), verb, name);
    tell(io, result, flags.output, { process: name });
    finish(result.ok ? exitCodes.done : exitCodes.failed);
  });
}
