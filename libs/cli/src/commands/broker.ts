import type { Command } from "commander";
import { brokerJson, printBrokers } from "../brokers.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { print, printJson } from "../output.ts";
import { type Finish, runWithClient, type ServerFlags, withExample, withServer } from "./command.ts";

/** `tidemark broker list`. */
export function addBrokerCommands(program: Command, io: Io, finish: Finish): void {
  const broker = program.command("broker").description("the brokers of the cluster");
  const list = broker.command("list").description("list the brokers, those that are gone too");
  withExample(withServer(list), "tidemark broker list -o json").action(async (flags: ServerFlags) => {
    finish(
      await runWithClient(io, flags, async ({ client, call }) => {
        const { brokers } = await client.admin.listBrokers({}, call);
        if (flags.output === "json") printJson(io, { brokers: brokers.map(brokerJson) });
        else if (brokers.length === 0) print(io, "No broker has registered yet.");
        else printBrokers(io, brokers);
        return exitCodes.done;
      }),
    );
  });
}
