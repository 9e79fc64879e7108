import {
  brokerSchema,
  clientSchema,
  controllerSchema,
  formatProblems,
  gatewaySchema,
  loadConfig,
  type RenderedSetting,
  type Resolved,
  renderConfig,
  type Settings,
} from "@tidemark/config";
import { Argument, type Command } from "commander";
import { exitCodes } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { printJson, printTable } from "../output.ts";
import { UsageError } from "../settings.ts";
import { keyValue, repeated } from "./arguments.ts";
import { type Finish, type OutputFormat, withExample, withOutput } from "./command.ts";

const schemas = { broker: brokerSchema, controller: controllerSchema, gateway: gatewaySchema, client: clientSchema };

interface ConfigFlags {
  readonly output: OutputFormat;
  readonly config?: string;
  readonly set: Readonly<Record<string, string>>;
}

/** `tidemark config print`: every setting of a kind of process, its value, and where that came from. */
export function addConfigCommands(program: Command, io: Io, finish: Finish): void {
  const config = program.command("config").description("settings of processes");
  const print = config
    .command("print")
    .description("show every setting with its value and where that came from")
    .addArgument(new Argument("[process]", "whose settings").choices(Object.keys(schemas)).default("client"))
    .option("--config <file>", "the file of settings (default: TIDEMARK_CONFIG, else tidemark.yaml where there is one)")
    .addOption(
      repeated("--set <key=value>", "a setting as the process's flag gives it", {
        parse: keyValue,
        none: {},
        meaning: "none",
      }),
    );
  withExample(withOutput(print), "tidemark config print broker --config tidemark.yaml").action(
    (role: keyof typeof schemas, flags: ConfigFlags) => {
      const settings = render(io, role, flags);
      if (flags.output === "json") printJson(io, { process: role, settings });
      else
        printTable(
          io,
          ["Key", "Value", "From"],
          settings.map(({ key, value, source }) => [key, value, source]),
        );
      finish(exitCodes.done);
    },
  );
}

function render(io: Io, role: keyof typeof schemas, { config, set }: ConfigFlags) {
  const flags = Object.entries(set).map(([key, value]) => `--${key}=${value}`);
  const inputs = {
    flags: config === undefined ? flags : [`--config=${config}`, ...flags],
    environment: io.env,
    workingDirectory: io.workingDirectory,
  };
  switch (role) {
    case "broker":
      return rendered(loadConfig(brokerSchema, inputs));
    case "controller":
      return rendered(loadConfig(controllerSchema, inputs));
    case "gateway":
      return rendered(loadConfig(gatewaySchema, inputs));
    case "client":
      return rendered(loadConfig(clientSchema, inputs));
  }
}

function rendered<Of extends Settings>(resolved: Resolved<Of>): readonly RenderedSetting[] {
  if (!resolved.ok) throw new UsageError(formatProblems(resolved.problems));
  return renderConfig(resolved.config);
}
