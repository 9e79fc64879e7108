import { type Client, createClient } from "@tidemark/client";
import { type Command, Option } from "commander";
import { tellError } from "../errors.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { type ClientSettings, type ConnectionFlags, clientSettings, UsageError } from "../settings.ts";

/** For people or for programs. */
export type OutputFormat = "text" | "json";

/** Tells the exit code that the process is to end with. */
export type Finish = (code: number) => void;

/** What every command that talks to a cluster is given by its flags. */
export interface ServerFlags extends ConnectionFlags {
  readonly output: OutputFormat;
}

/** Adds `-o json`, which every command has. */
export function withOutput(command: Command): Command {
  return command.addOption(
    new Option("-o, --output <format>", "for people or for programs").choices(["text", "json"]).default("text"),
  );
}

/** Adds what a command needs that talks to a cluster. */
export function withServer(command: Command): Command {
  return withOutput(command)
    .option("--server <host:port>", "gateway or broker to talk to (default: TIDEMARK_SERVER, else 127.0.0.1:4640)")
    .option("--tls-ca <file>", "talk by TLS, and check the server's certificate against these authorities (PEM)")
    .option("--tls-cert <file>", "certificate to show to a server that wants one (PEM)")
    .option("--tls-key <file>", "its key (PEM)");
}

/** Adds an example below the help. */
export function withExample(command: Command, ...examples: readonly string[]): Command {
  return command.addHelpText("after", `\n${examples.length > 1 ? "Examples" : "Example"}:\n  ${examples.join("\n  ")}`);
}

/** What a command works with once the settings are known. */
export interface Session {
  readonly client: Client;
  readonly settings: ClientSettings;
  /** For each call. */
  readonly call: { readonly signal: AbortSignal; readonly timeoutMs: number };
}

/**
 * Runs `work` with a client and closes it. Failures are told on standard error. Resolves with the exit code. A wrong
 * setting throws UsageError.
 */
export async function runWithClient(
  io: Io,
  flags: ServerFlags,
  work: (session: Session) => Promise<number>,
): Promise<number> {
  const settings = clientSettings(io, flags);
  const { server, tls, requestTimeoutMs } = settings;
  const client = await createClient({ bootstrap: server, ...(tls === undefined ? {} : { tls }) });
  try {
    return await work({ client, settings, call: { signal: io.interrupted, timeoutMs: requestTimeoutMs } });
  } catch (error) {
    if (error instanceof UsageError) throw error;
    if (io.interrupted.aborted) return exitCodes.interrupted;
    tellError(io, error, { output: flags.output, server });
    return exitCodes.failed;
  } finally {
    client.close();
  }
}
