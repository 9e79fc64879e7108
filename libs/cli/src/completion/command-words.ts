import type { Command, Option } from "commander";

/** What may be written after a command: the commands below it, its flags, and the values of both. */
export interface CommandWords {
  /** Names from below `tidemark` on, with a space between; empty for `tidemark` itself. */
  readonly path: string;
  /** Of its arguments only those that are one of a few. */
  readonly words: readonly string[];
  /** The flags that take a value. */
  readonly valued: readonly ValuedFlag[];
}

export interface ValuedFlag {
  /** As they are written: `-o` and `--output`. */
  readonly flags: readonly string[];
  /** Empty: any value. */
  readonly choices: readonly string[];
}

/** Every command of a program, itself first. */
export function commandWords(command: Command, path: readonly string[] = []): readonly CommandWords[] {
  const below = command.commands.filter((each) => each.name() !== "help");
  const flags = command.options.flatMap(flagsOf);
  const choices = command.registeredArguments.flatMap(({ argChoices = [] }) => argChoices);
  const own = {
    path: path.join(" "),
    words: [...below.map((each) => each.name()), ...choices, ...flags, "--help"],
    valued: command.options
      .filter(({ required, optional }) => required || optional)
      .map((option) => ({ flags: flagsOf(option), choices: option.argChoices ?? [] })),
  };
  return [own, ...below.flatMap((each) => commandWords(each, [...path, each.name()]))];
}

function flagsOf({ short, long }: Option): readonly string[] {
  return [long, short].filter((flag) => flag !== undefined);
}
