import type { DescribeQuorumResponse, QuorumMember } from "@tidemark/client";
import { type Command, InvalidArgumentError } from "commander";
import { exitCodes } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { jsonNumber, print, printJson, printTable } from "../output.ts";
import { wholeNumber } from "./arguments.ts";
import { type Finish, runWithClient, type ServerFlags, withExample, withServer } from "./command.ts";

interface NewVoter {
  readonly controllerId: number;
  readonly endpoint: string;
  readonly directoryId: string;
}

/** `tidemark controller quorum|add-voter|remove-voter|transfer`. */
export function addControllerCommands(program: Command, io: Io, finish: Finish): void {
  const controller = program.command("controller").description("the controllers, and who of them votes");
  addQuorum(controller, io, finish);
  addAddVoter(controller, io, finish);
  addRemoveVoter(controller, io, finish);
  addTransfer(controller, io, finish);
}

function addQuorum(controller: Command, io: Io, finish: Finish): void {
  const quorum = controller.command("quorum").description("show who takes part, who leads and how far everyone is");
  withExample(withServer(quorum), "tidemark controller quorum -o json").action(async (flags: ServerFlags) => {
    finish(
      await runWithClient(io, flags, async ({ client, call }) => {
        const described = await client.metadata.describeQuorum({}, call);
        if (flags.output === "json") printJson(io, quorumJson(described));
        else printQuorum(io, described);
        return exitCodes.done;
      }),
    );
  });
}

function addAddVoter(controller: Command, io: Io, finish: Finish): void {
  const add = controller
    .command("add-voter")
    .description("let a controller vote that runs with an empty directory; its log says how it is named")
    .argument("<id@host:port:directory-id>", "the new voter", newVoter);
  const example = "tidemark controller add-voter 4@d:4651:0c7ee6a4-2b1f-4b8a-9d4e-0b1f6c2d3e4f";
  withExample(withServer(add), example).action(async (voter: NewVoter, flags: ServerFlags) => {
    finish(
      await runWithClient(io, flags, async ({ client, call }) => {
        const { members } = await client.metadata.addVoter(voter, call);
        showMembers(io, flags, members, `Controller ${voter.controllerId} votes.`);
        return exitCodes.done;
      }),
    );
  });
}

function addRemoveVoter(controller: Command, io: Io, finish: Finish): void {
  const remove = controller
    .command("remove-voter")
    .description("take a controller's vote away, for good")
    .argument("<id>", "node.id of the controller", wholeNumber)
    .option("--force", "also where no majority of the others lives: nothing is decided then until they are back");
  withExample(withServer(remove), "tidemark controller remove-voter 2").action(
    async (id: number, flags: ServerFlags & { readonly force?: boolean }) => {
      const { force = false } = flags;
      finish(
        await runWithClient(io, flags, async ({ client, call }) => {
          const { members } = await client.metadata.removeVoter({ controllerId: id, force }, call);
          showMembers(io, flags, members, `Controller ${id} votes no more.`);
          return exitCodes.done;
        }),
      );
    },
  );
}

function addTransfer(controller: Command, io: Io, finish: Finish): void {
  const transfer = controller.command("transfer").description("make the active controller give its place to another");
  transfer.option("--to <id>", "node.id of the one that is to be active, with the raft backend", wholeNumber);
  withExample(withServer(transfer), "tidemark controller transfer --to 2").action(
    async (flags: ServerFlags & { readonly to?: number }) => {
      const { to } = flags;
      finish(
        await runWithClient(io, flags, async ({ client, call }) => {
          await client.metadata.transferController(to === undefined ? {} : { to }, call);
          if (flags.output === "json") printJson(io, { transferred: true, ...(to === undefined ? {} : { to }) });
          else print(io, `The active controller gave its place up${to === undefined ? "" : ` to controller ${to}`}.`);
          return exitCodes.done;
        }),
      );
    },
  );
}

function newVoter(text: string): NewVoter {
  const match = /^(\d+)@(\S+:\d{1,5}):([0-9a-f-]{36})$/.exec(text);
  if (match === null) throw new InvalidArgumentError("Write id@host:port:directory-id.");
  const [, id = "", endpoint = "", directoryId = ""] = match;
  return { controllerId: wholeNumber(id), endpoint, directoryId };
}

function quorumJson({ backend, leader, controllerEpoch, term, commit, members }: DescribeQuorumResponse) {
  return {
    backend,
    leader: leader ?? null,
    controllerEpoch,
    ...(term === undefined ? {} : { term: jsonNumber(term) }),
    ...(commit === undefined ? {} : { commit: jsonNumber(commit) }),
    members: members.map(memberJson),
  };
}

function memberJson({ controllerId, directoryId, endpoint, voter, alive, match, lag, lastContactMs }: QuorumMember) {
  return {
    id: controllerId,
    directoryId,
    endpoint,
    voter,
    alive,
    ...(match === undefined ? {} : { match: jsonNumber(match) }),
    ...(lag === undefined ? {} : { lag: jsonNumber(lag) }),
    ...(lastContactMs === undefined ? {} : { lastContactMs }),
  };
}

function printQuorum(
  io: Io,
  { backend, leader, controllerEpoch, term, commit, members }: DescribeQuorumResponse,
): void {
  const own = term === undefined ? "" : `  Term: ${term}  Commit: ${commit ?? 0n}`;
  print(io, `Backend: ${backend}  Leader: ${leader ?? "none"}  Controller epoch: ${controllerEpoch}${own}`);
  printMembers(io, members);
}

function showMembers(io: Io, flags: ServerFlags, members: readonly QuorumMember[], said: string): void {
  if (flags.output === "json") {
    printJson(io, { members: members.map(memberJson) });
    return;
  }
  print(io, said);
  printMembers(io, members);
}

function printMembers(io: Io, members: readonly QuorumMember[]): void {
  printTable(
    io,
    ["Controller", "Endpoint", "Directory", "Role", "Alive", "Match", "Lag", "Last contact"],
    members.map(({ controllerId, endpoint, directoryId, voter, alive, match, lag, lastContactMs }) => [
      controllerId,
      endpoint,
      directoryId,
      voter ? "voter" : "learner",
      alive ? "yes" : "no",
      match === undefined ? "" : String(match),
      lag === undefined ? "" : String(lag),
      lastContactMs === undefined ? "" : `${lastContactMs} ms`,
    ]),
  );
}
