import { type Command, Option } from "commander";

/** For people or for programs. */
export type OutputFormat = "text" | "json";

/** Tells the exit code that the process is to end with. */
export type Finish = (code: number) => void;

/** Adds `-o json`, which every command has. */
export function withOutput(command: Command): Command {
  return command.addOption(
    new Option("-o, --output <format>", "for people or for programs").choices(["text", "json"]).default("text"),
  );
}

/** Adds what a command needs that talks to a cluster. */
export function withServer(command: Command): Command {
  return withOutput(command).option(
    "--server <host:port>",
    "gateway or broker to talk to (default: TIDEMARK_SERVER, else 127.0.0.1:4640)",
  );
}
