import { Argument, type Command } from "commander";
import { commandWords } from "../completion/command-words.ts";
import { completionScript, type Shell, shells } from "../completion/scripts.ts";
import type { Io } from "../io.ts";
import { withExample } from "./command.ts";

/** `tidemark completion`. To be added last: it knows the commands that are there when it runs. */
export function addCompletionCommand(program: Command, io: Io): void {
  const completion = program
    .command("completion")
    .description("print a script that completes commands and flags in a shell")
    .addArgument(new Argument("<shell>", "which one").choices(shells));
  withExample(
    completion,
    "source <(tidemark completion bash)",
    "tidemark completion fish > ~/.config/fish/completions/tidemark.fish",
  ).action((shell: Shell) => {
    io.stdout.write(completionScript(shell, commandWords(program)));
  });
}
