import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { crc32c } from "@tidemark/compression";
import { ExportFileError, importedContent, parseExport } from "@tidemark/consensus/transfer";
import { formatDirectory, memberDirectory, parseAddress, RaftOpenError } from "@tidemark/consensus-raft";
import { createNodeDisk } from "@tidemark/disk";
import { type DirectoryId, directoryId } from "@tidemark/ids";
import { createNodeRuntime, randomUuid } from "@tidemark/runtime";
import { type Command, InvalidArgumentError } from "commander";
import { exitCodes } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { print, printJson } from "../output.ts";
import { UsageError } from "../settings.ts";
import { epochFloor, wholeNumber } from "./arguments.ts";
import { type Finish, type OutputFormat, withExample, withOutput } from "./command.ts";

/** A first voter: where it is reached, and the id of its directory. */
interface Voter {
  readonly id: DirectoryId;
  /** id@host:port of its `internal` listener. */
  readonly address: string;
}

interface FormatFlags {
  readonly dir: string;
  readonly nodeId: number;
  readonly clusterId: string;
  readonly voters: readonly Voter[];
  /** A file of exported metadata. */
  readonly import?: string;
  readonly epochFloor: number;
  readonly output: OutputFormat;
}

/** `tidemark format` and `tidemark format plan`: the first voters of a cluster whose controllers keep the metadata. */
export function addFormatCommands(program: Command, io: Io, finish: Finish): void {
  const format = program
    .command("format")
    .description("make the directory of a first voter of the raft backend, once, before its first start");
  withExample(
    withOutput(format)
      .option("--dir <folder>", "metadata.log.dir of the controller")
      .option("--node-id <id>", "node.id of the controller", wholeNumber)
      .option("--cluster-id <id>", "the same for every controller")
      .option("--voters <list>", "id@host:port:directory-id of every first voter, with commas", voterList)
      .option("--import <file>", "begin with these exported metadata; the same file for every first voter")
      .option("--epoch-floor <epoch>", "with --import: the controller epoch is this at the least", epochFloor, 0),
    "tidemark format plan 1@a:4651 2@b:4651 3@c:4651",
    "tidemark format --dir /var/lib/tidemark/metadata --node-id 1 --cluster-id ID --voters LIST",
    "tidemark format --dir FOLDER --node-id 1 --cluster-id ID --voters LIST --import move.json",
  ).action(async (flags: GivenFlags) => {
    finish(await formatHere(io, requireAll(flags)));
  });
  const plan = format
    .command("plan")
    .description("draw the ids of a new cluster, and show what to run at each controller")
    .argument("<voters...>", "id@host:port of each first voter's internal listener");
  withExample(withOutput(plan), "tidemark format plan 1@a:4651 2@b:4651 3@c:4651").action(
    (addresses: readonly string[], flags: { readonly output: OutputFormat }) => {
      showPlan(io, addresses, flags.output);
      finish(exitCodes.done);
    },
  );
}

type GivenFlags = Partial<FormatFlags> & Pick<FormatFlags, "output" | "epochFloor">;

function requireAll(flags: GivenFlags): FormatFlags {
  const { dir, nodeId, clusterId, voters } = flags;
  if (dir === undefined || nodeId === undefined || clusterId === undefined || voters === undefined) {
    throw new UsageError(
      "format needs --dir, --node-id, --cluster-id and --voters; `tidemark format plan` draws the ids.",
    );
  }
  return { ...flags, dir, nodeId, clusterId, voters };
}

async function formatHere(io: Io, flags: FormatFlags): Promise<number> {
  const { dir, nodeId, clusterId, voters, output } = flags;
  const self = voters.find(({ address }) => parseAddress(address).controllerId === nodeId);
  if (self === undefined) throw new UsageError(`--voters does not name controller ${nodeId}.`);
  const directory = resolve(io.workingDirectory, dir);
  const disk = createNodeDisk({ runtime: createNodeRuntime() });
  try {
    const identity = { directoryId: self.id, clusterId };
    const entries = entriesOf(io, flags);
    await formatDirectory({
      disk,
      directory: memberDirectory(directory),
      crc32c,
      identity,
      voters,
      ...(entries === undefined ? {} : { entries }),
    });
  } catch (error) {
    if (!(error instanceof RaftOpenError || error instanceof ExportFileError)) throw error;
    io.stderr.write(`tidemark: ${error.message}\n`);
    return exitCodes.failed;
  }
  if (output === "json") printJson(io, { directory, nodeId, directoryId: self.id, clusterId, voters });
  else print(io, `${directory} is that of controller ${nodeId} of the cluster ${clusterId}.`);
  return exitCodes.done;
}

/** What the file holds. Throws UsageError where it is another cluster's, ExportFileError where it is damaged. */
function entriesOf(io: Io, { import: file, epochFloor, clusterId }: FormatFlags) {
  if (file === undefined) return undefined;
  const exported = parseExport(readText(resolve(io.workingDirectory, file)));
  if (exported.clusterId !== clusterId) {
    throw new UsageError(`${file} holds the metadata of the cluster ${exported.clusterId}: give it as --cluster-id.`);
  }
  return importedContent(exported, epochFloor).entries;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`${path} cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
}

function showPlan(io: Io, addresses: readonly string[], output: OutputFormat): void {
  const { random } = createNodeRuntime();
  const clusterId = randomUuid(random);
  const voters = addresses.map((address) => ({ id: directoryId(randomUuid(random)), address: checked(address) }));
  const twice = namedTwice(voters);
  if (twice !== undefined) throw new UsageError(`Controller ${twice} is named twice.`);
  const list = voters.map(({ id, address }) => `${address}:${id}`).join(",");
  if (output === "json") {
    printJson(io, { clusterId, voters, list });
    return;
  }
  print(io, "Run at each controller, once, before its first start:");
  for (const { address } of voters) {
    const { controllerId } = parseAddress(address);
    print(io, `  tidemark format --dir FOLDER --node-id ${controllerId} --cluster-id ${clusterId} --voters ${list}`);
  }
  print(
    io,
    "A controller that loses its directory later is not formatted again: it starts with an empty one and is added.",
  );
}

function voterList(text: string): readonly Voter[] {
  const voters = text.split(",").map((part) => {
    const colon = part.lastIndexOf(":");
    try {
      parseAddress(part.slice(0, colon));
      return { address: part.slice(0, colon), id: directoryId(part.slice(colon + 1)) };
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new InvalidArgumentError("Write id@host:port:directory-id for each voter, with commas between them.");
    }
  });
  const twice = namedTwice(voters);
  if (twice !== undefined) throw new InvalidArgumentError(`Controller ${twice} is named twice.`);
  return voters;
}

/** Two members with one id could never be told apart. */
function namedTwice(voters: readonly Voter[]): number | undefined {
  const ids = voters.map(({ address }) => parseAddress(address).controllerId);
  return ids.find((id, at) => ids.indexOf(id) !== at);
}

function checked(address: string): string {
  try {
    parseAddress(address);
    return address;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UsageError(`Write id@host:port, not ${address}.`);
  }
}
